// Package fleet lets several machines generate one load for one subject, coordinated
// over NATS.
//
//	func TestFleet(t *testing.T) {
//		fleet.Test(t, fleet.Load{Rate: 20_000, For: 10 * time.Second,
//			Do: func(ctx context.Context, i int) error {
//				return client.Get(ctx, keys[i%len(keys)])
//			}})
//	}
//
// The same test runs on every machine. STRESS_FLEET_ROLE sets its role: there is one
// lead, which generates no load and merges the figures, and there are agents, each of
// which generates a share of the rate. Without STRESS_FLEET, the process generates the
// whole load itself.
//
// Every agent sends every latency to the lead, which computes percentiles over all of
// them. No figure is an average of percentiles.
//
// If an agent dies, its part is "not measured": the report names it, and the other agents
// count. If the lead dies, its agents end with ErrLost.
package fleet
