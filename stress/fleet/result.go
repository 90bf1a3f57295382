package fleet

import (
	"fmt"
	"time"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Result is what came of a load. Counts, rates and latencies are those of the
// parts that were measured, which may not be all: see Share.
type Result struct {
	Name     string    `json:"name"`
	Ended    time.Time `json:"ended"`
	Rate     float64   `json:"rate_ops_per_s"` // asked of the whole fleet
	Seconds  float64   `json:"seconds"`        // for which it was asked
	Arrivals string    `json:"arrivals"`
	Seed     uint64    `json:"seed"`

	Agents   int     `json:"agents"`
	Measured int     `json:"agents_measured"`
	Share    float64 `json:"share_of_load_measured"` // 0 to 1

	// Asked is Started and what was never started; Started is Succeeded, Failed
	// and Unfinished, which had not ended when the run was over.
	Asked      int `json:"asked"`
	Started    int `json:"started"`
	Succeeded  int `json:"succeeded"`
	Failed     int `json:"failed"`
	Unfinished int `json:"unfinished"`

	Offered    float64         `json:"offered_ops_per_s"`
	Throughput float64         `json:"throughput_ops_per_s"` // succeeded, from the first beginning to the last end
	Latency    measure.Latency `json:"latency"`              // over every sample, each from the instant due
	Series     []measure.Bin   `json:"series"`               // from the first beginning
	// Spread is an upper bound of what lies between the first and the last
	// agent's beginning, in ns.
	Spread    int64            `json:"start_spread_ns"`
	Saturated bool             `json:"saturated"` // one generator or more: then nothing in time is judged
	Parts     []Part           `json:"parts"`     // of each agent, by number
	Checks    []validate.Check `json:"checks"`
	Notes     []string         `json:"notes,omitempty"`
}

// Part is what one agent did. Of one that is not measured there is nothing but
// who it is, what it was asked for and why.
type Part struct {
	Number      int                 `json:"number"` // from 0
	Host        string              `json:"host"`
	PID         int                 `json:"pid"`
	Environment measure.Environment `json:"environment"`
	Share       float64             `json:"share_of_load"` // 0 to 1
	First       int                 `json:"first"`         // operation
	Asked       int                 `json:"asked"`
	Measured    bool                `json:"measured"`
	Why         string              `json:"why_not,omitempty"`
	// Seen is how many operations an agent that is not measured had started when
	// it was last heard of. They are counted nowhere.
	Seen int `json:"last_seen_started,omitempty"`

	Started    int             `json:"started"`
	Succeeded  int             `json:"succeeded"`
	Failed     int             `json:"failed"`
	Unfinished int             `json:"unfinished"`
	Offered    float64         `json:"offered_ops_per_s"`
	Peak       int             `json:"peak_in_flight"`
	LateP99    int64           `json:"generator_late_p99_ns"`
	LateMax    int64           `json:"generator_late_max_ns"`
	Saturated  bool            `json:"saturated"`
	Processors *float64        `json:"processor_share"` // that others than the fleet left, 0 to 1; nil where not known
	Latency    measure.Latency `json:"latency"`
	Began      int64           `json:"began_ns"`        // after the first
	BeganOff   int64           `json:"began_within_ns"` // how far that may be wrong
	Fault      string          `json:"first_failure,omitempty"`
}

// Complete tells whether the part of every agent was measured.
func (r *Result) Complete() bool { return r.Measured == r.Agents }

// String is the result in one line.
func (r *Result) String() string {
	text := fmt.Sprintf("fleet: %d of %d agents, %s of the load measured: %s of %s ops/s offered, %s ops/s, "+
		"p50 %s  p95 %s  p99 %s  p99.9 %s",
		r.Measured, r.Agents, percent(r.Share), validate.Number(r.Offered), validate.Number(r.Rate),
		validate.Number(r.Throughput),
		nanoseconds(r.Latency.P50), nanoseconds(r.Latency.P95), nanoseconds(r.Latency.P99), nanoseconds(r.Latency.P999))
	if r.Failed > 0 {
		text += fmt.Sprintf(", %d failed", r.Failed)
	}
	if r.Unfinished > 0 {
		text += fmt.Sprintf(", %d unfinished", r.Unfinished)
	}
	if r.Measured > 1 {
		text += ", all begun within " + nanoseconds(r.Spread)
	}
	if r.Saturated {
		text += ", generator saturated"
	}
	return text
}

func percent(share float64) string { return validate.With(100*share, "%") }

// nanoseconds is a time with as many digits as it is worth.
func nanoseconds(ns int64) string {
	d := time.Duration(ns)
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}
