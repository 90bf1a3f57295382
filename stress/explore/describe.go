package explore

import "tensile/stress/internal/schedule"

// replays is how often a failure is repeated before it is reported.
const replays = 10

// describe makes the report of a schedule that failed.
func (x *explorer) describe(s schedule.Schedule, r ran) *Failure {
	f := &Failure{Kind: r.verdict.kind, Sentence: r.verdict.sentence, Left: r.verdict.left, Schedule: s.String()}
	for range replays {
		if again := x.run(s, nil); again.Hash == r.Hash && r.verdict.same(again.verdict) {
			f.Replays++
		}
	}
	return f
}

// report is the text of a failure.
func (o Outcome) report() string {
	return o.Failure.Sentence + "\n" + o.Failure.Schedule + "\n" + o.Failure.Columns
}
