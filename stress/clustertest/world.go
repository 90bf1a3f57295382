package clustertest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/programs"
)

// programNodes is how many nodes a program begins and ends with.
const programNodes = 5

// world is a cluster with the network around it, for one program.
type world struct {
	*programs.Program
	*community
	secret   []byte
	patience time.Duration // with what is wrong, of time in which the machine is able

	cut  *cutting         // nil while the network is whole
	kept func(*community) // takes the cluster at the end

	// Of the stage.
	begun   bool
	stages  int
	anchor  *life // nothing happens to it: others join by it
	meeting meeting
	started []*life
	shaken  []*life // are not to be reached for a part of it
	leaves  bool
	stops   bool     // for longer than the stage
	rewired bool     // what the network loses changes
	healed  *cutting // in this stage
	starved bool     // the machine was not able; guarded by the lock
}

const (
	// callPatience is how long a call may take to be one that is answered.
	callPatience = time.Second
	// The machine is able while every process answers the kit within ableWithin. Only
	// such time counts for the patience, and of the time between two looks no more than
	// longestGap.
	ableWithin = 250 * time.Millisecond
	longestGap = callPatience + ableWithin
	lookPause  = 10 * time.Millisecond
	beatPause  = 50 * time.Millisecond
	aMoment    = 100 * time.Millisecond
)

// begin prepares a stage, before the first of its acts is chosen.
func (w *world) begin() {
	if w.begun {
		return
	}
	for _, l := range w.lives {
		l.busy = false
	}
	w.begun = true
	w.stages++
	whole := w.sorted(func(l *life) bool { return running(l) && !w.cut.touches(l) })
	if len(whole) == 0 {
		whole = w.sorted(running)
	}
	w.anchor = whole[w.stages%len(whole)]
	w.anchor.busy = true
	for _, l := range w.lives {
		switch {
		case l.truth == nodes.Stopped:
			w.Event(eventStopped)
		case l.truth == nodes.Killed && l.settled:
			w.Event(eventDead)
		}
	}
	if w.cut != nil {
		w.Event(eventCut)
	}
}

// act is one that begins together with the others of its stage.
func (w *world) act(text string, do func(ctx context.Context)) *programs.Act {
	w.meeting.expect()
	return &programs.Act{Text: text, Do: func() programs.Next {
		defer w.meeting.end()
		w.meeting.come(w.Context())
		do(w.Context())
		return nil
	}}
}

// Rest waits until the acts have ended, and each node holds of the others what is true.
// While the network is cut nobody is judged: what a node can know then is its own matter.
func (w *world) Rest() {
	w.attend()
	w.loosen()
	if w.cut != nil {
		w.pause(w.cut.lasts)
	} else {
		w.settle()
	}
	for _, l := range w.lives {
		l.settled = l.settled || w.cut == nil
		l.judged = w.cut == nil
	}
	w.begun, w.started, w.shaken, w.healed = false, nil, nil, nil
	w.leaves, w.stops, w.rewired, w.starved = false, false, false, false
}

// attend waits until the acts have ended, and looks meanwhile whether the machine is able.
func (w *world) attend() {
	untouched := append(w.idle(running), w.sorted(func(l *life) bool { return l == w.anchor })...)
	for next := time.Now(); !w.meeting.ended(); w.pause(time.Millisecond) {
		if time.Now().Before(next) {
			continue
		}
		for _, l := range untouched {
			took := w.beat(l.name)
			w.mu.Lock()
			w.starved = w.starved || took > ableWithin
			w.mu.Unlock()
		}
		next = time.Now().Add(beatPause)
	}
}

func (w *world) isStarved() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starved
}

// pause lets time pass, and ends the program where it has failed or its time is up.
func (w *world) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.Context().Done():
	}
	if w.Context().Err() != nil {
		w.FailNow()
	}
}

// loosen notes which pairs need not know each other: one of the two has just joined,
// and the other was not to be reached meanwhile, or was taken to be so as the machine was
// not able.
func (w *world) loosen() {
	starved := w.isStarved()
	for _, l := range w.started {
		for _, o := range w.lives {
			if o != l && (o.truth == nodes.Stopped || w.cut != nil || starved) {
				w.loose[pairOf(l, o)] = true
			}
		}
		for _, o := range w.shaken {
			if o != l {
				w.loose[pairOf(l, o)] = true
			}
		}
	}
}

// settle waits until nothing is wrong. What stays wrong in the same way, for as long as
// the patience, is a violation.
func (w *world) settle() {
	wrongFor := make(map[string]time.Duration)
	for last := time.Now(); ; {
		all, able := w.look()
		if len(all) == 0 {
			return
		}
		gap := time.Duration(0)
		if able {
			gap = min(time.Since(last), longestGap)
		}
		last = time.Now()
		still := make(map[string]time.Duration)
		for _, x := range all {
			still[x.key] = wrongFor[x.key] + gap
		}
		wrongFor = still
		for _, x := range all {
			if wrongFor[x.key] >= w.patience {
				w.Violate(x.criterion, "%s, for %v in which every process answered the kit within %v%s",
					x.text, w.patience.Round(aMoment), ableWithin, beside(len(all)-1))
			}
		}
		w.pause(lookPause)
	}
}

func beside(others int) string {
	if others == 0 {
		return "; all else is right"
	}
	return fmt.Sprintf("; %d more views and calls are wrong", others)
}

// look asks all nodes that run, and tells whether the machine was able.
func (w *world) look() (all []wrong, able bool) {
	by := w.sorted(running)
	looks, errs := make([]nodes.Look, len(by)), make([]error, len(by))
	beats := make([]time.Duration, len(by))
	var asking sync.WaitGroup
	for i, l := range by {
		asking.Go(func() { looks[i], errs[i] = w.fleet.Look(w.Context(), l.name, namesOf(by, l)) })
		asking.Go(func() { beats[i] = w.beat(l.name) })
	}
	asking.Wait()
	able = true
	for i, l := range by {
		able = able && beats[i] <= ableWithin
		if errs[i] != nil {
			w.pause(0)
			w.Violate("views", "%s %s, and its process does not answer any more: %v", l.name, l.how, errs[i])
		}
		all = append(all, w.judge(l, looks[i])...)
	}
	return all, able
}

// beat is how long a process takes to answer the kit.
func (w *world) beat(name string) time.Duration {
	began := time.Now()
	_ = w.fleet.Beat(w.Context(), name) // that it does not answer is seen elsewhere
	return time.Since(began)
}

// again does something until it succeeds, for as long as the patience, of time in which
// the process that it is done in is able. It returns the last error.
func (w *world) again(process string, do func() error) error {
	for able := time.Duration(0); ; {
		began := time.Now()
		err := do()
		if err == nil || able >= w.patience {
			return err
		}
		w.pause(lookPause)
		if w.beat(process) <= ableWithin {
			able += time.Since(began)
		}
	}
}

func namesOf(lives []*life, not *life) []string {
	var names []string
	for _, l := range lives {
		if l != not {
			names = append(names, l.name)
		}
	}
	return names
}
