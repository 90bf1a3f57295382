package fleet

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/load"
	"tensile/stress/measure"
)

// account is what an agent says of its part. Asked is Started and what was never
// started; Started is Succeeded, Failed and Unfinished.
type account struct {
	Asked      int     `json:"asked"`
	Started    int     `json:"started"`
	Succeeded  int     `json:"succeeded"`
	Failed     int     `json:"failed"`
	Unfinished int     `json:"unfinished"`
	Offered    float64 `json:"offered_ops_per_s"`
	Saturated  bool    `json:"saturated"`
	LateP50    int64   `json:"late_p50_ns"`
	LateP99    int64   `json:"late_p99_ns"`
	LateMax    int64   `json:"late_max_ns"`
	Peak       int     `json:"peak_in_flight"`
	Began      int64   `json:"began_ns"` // by the clock of the agent, without the stagger
	// Left and Used are the parts of the processors that other processes left and
	// that the agent used itself; nil if not known.
	Left  *float64 `json:"left"`
	Used  *float64 `json:"used"`
	Fault string   `json:"fault,omitempty"` // of the first operation that failed
	Size  int      `json:"size"`            // of the samples in bytes
	Sum   uint32   `json:"sum"`             // checksum of them
}

// offering is a task at work.
type offering struct {
	load Load
	task task

	started atomic.Int64 // operations

	mu       sync.RWMutex // read-locked to record, locked to seal
	sealed   bool         // what ends now counts as unfinished
	recorder *measure.Recorder
	fault    struct {
		sync.Once
		text string
	}
}

func newOffering(l Load, t task) *offering {
	return &offering{load: l, task: t, recorder: measure.NewRecorder(t.Count)}
}

// mostFault bounds what is kept of the error of an operation, in bytes.
const mostFault = 200

// offer does the task and returns what came of it, and its samples.
func (o *offering) offer(ctx context.Context) (account, []byte) {
	ctx, cancel := context.WithTimeout(ctx, o.load.For+o.task.Patience)
	defer cancel()
	began := int64(0)
	meter := measure.StartMeter()
	plan := load.Plan{Rate: o.task.Rate, Count: o.task.Count, Arrivals: o.load.Arrivals, Seed: o.task.Seed}
	out := load.Steady(ctx, plan, func(at time.Time, _ *load.InFlight) {
		began = int64(at.Sub(epoch))
		o.recorder.Begin(at)
	}, func(i int, due int64) { o.do(ctx, i, due) })
	a := account{
		Asked: o.task.Count, Offered: out.Offered, Saturated: out.Saturated(), Peak: out.Peak,
		LateP50: out.LateP50, LateP99: out.LateP99, LateMax: out.LateMax, Began: began - o.task.Stagger,
	}
	if left, ok := meter.Share(); ok {
		a.Left = &left
	}
	if used, ok := meter.Busy(); ok {
		a.Used = &used
	}
	o.seal(&a)
	samples := o.recorder.Export()
	a.Size, a.Sum = len(samples), checksum(samples)
	return a, samples
}

func (o *offering) do(ctx context.Context, i int, due int64) {
	o.started.Add(1)
	err := o.load.Do(ctx, o.task.First+i)
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.sealed {
		return
	}
	if err == nil {
		o.recorder.Done(i, due)
	} else {
		o.recorder.Failed(i)
		o.fault.Do(func() { o.fault.text = cut(fmt.Sprintf("operation %d: %v", o.task.First+i, err), mostFault) })
	}
}

// seal closes the books. From here on no operation writes to the recorder.
func (o *offering) seal(a *account) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sealed = true
	l := o.recorder.Latency()
	a.Started, a.Succeeded, a.Failed = int(o.started.Load()), l.N, l.Failed
	a.Unfinished = a.Started - a.Succeeded - a.Failed
	a.Fault = o.fault.text
}

// cut bounds a text that goes over the network.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
