// Package fleet has several machines offer one load to one subject, coordinated
// over NATS.
//
//	func TestFleet(t *testing.T) {
//		fleet.Test(t, fleet.Load{Rate: 20_000, For: 10 * time.Second,
//			Do: func(ctx context.Context, i int) error {
//				return client.Get(ctx, keys[i%len(keys)])
//			}})
//	}
//
// The same test runs on every machine, and STRESS_FLEET_ROLE says as what: one
// lead, which offers nothing and puts the figures together, and agents, which
// offer a share of the rate each. Without STRESS_FLEET the process offers all of
// it by itself.
//
// Every latency of every agent is sent to the lead, which takes the percentiles
// over all of them. None is an average of percentiles.
//
// The part of an agent that dies is "not measured": it is named, and the rest
// counts. An agent whose lead dies ends with ErrLost.
package fleet
