package queuetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/powercut"
	"tensile/stress/internal/scenario"
	"tensile/stress/report"
	"tensile/stress/validate"
)

const (
	powerQueues     = 2
	powerVisibility = 250 * time.Millisecond
	powerStates     = 10_000 // different from each other, at N = 100,000
	leastPower      = 1_000
	powerPrograms   = 8 // at least: so many share the states
	powerLinger     = time.Millisecond
)

// powerProgram is what is done to a broker before the power goes. Each queue has a
// goroutine of its own, or one does all.
type powerProgram struct {
	Config Config
	Fresh  bool // the folder is not there before
	Serial bool
	Ops    []powerOp

	Conditions powercut.Conditions
}

type powerVerb string

const (
	powerPublish powerVerb = "publish"
	powerReceive powerVerb = "receive"
	powerAck     powerVerb = "ack"
	powerNack    powerVerb = "nack"
)

// powerOp is one call. The messages of operation n have the numbers from
// n*powerBatch on.
type powerOp struct {
	Verb  powerVerb
	Queue int
	Count int  `json:",omitempty"` // messages
	Size  int  `json:",omitempty"` // of each, in bytes
	Batch bool `json:",omitempty"`
	Of    int  `json:",omitempty"` // the receive whose messages these are
}

const powerBatch = 16

// One program publishes so much that a log of which nobody asked for short files
// begins a new one.
const (
	powerHeavy     = 3 // its number
	powerHeavySize = 512 << 10
	powerHeavyOps  = 36 // 18 MB
)

// powerSizes of messages, in bytes: within a sector, beyond one, and several pages,
// of which a few fill a segment.
var powerSizes = []int{20, 100, 600, 3_000, 6_000}

// drawPower makes a program. The first are short.
func drawPower(random *rand.Rand, number int, a optionAbilities) powerProgram {
	p := powerProgram{Fresh: random.IntN(3) == 0, Serial: random.IntN(2) == 0,
		Config:     Config{Queues: powerQueues, Visibility: powerVisibility, SegmentSize: optionSegment},
		Conditions: powercut.DrawConditions(random, number)}
	if a.dead {
		p.Config.MaxAttempts = []int{0, 1, deadLetterAttempts}[random.IntN(3)]
	}
	if a.bounded && random.IntN(2) == 0 {
		p.Config.MaxLen, p.Config.Reject = fullLength, true
	}
	if number == powerHeavy {
		for range powerHeavyOps {
			p.Ops = append(p.Ops, powerOp{Verb: powerPublish, Count: 1, Size: powerHeavySize})
		}
		p.Config.MaxLen, p.Config.Reject, p.Serial, p.Conditions = 0, false, true, powercut.Conditions{}
		return p
	}
	var ready [powerQueues]int
	var held [powerQueues][]int // receives that were not ended
	size := powerSizes[random.IntN(len(powerSizes))]
	for range 2 + random.IntN(min(3+2*number, 20)) {
		q := random.IntN(powerQueues)
		op := powerOp{Queue: q, Count: 1}
		if a.batches && random.IntN(3) == 0 {
			op.Batch, op.Count = true, 1+random.IntN(4)
		}
		switch roll := random.IntN(10); {
		case roll < 2 && ready[q] >= op.Count:
			op.Verb = powerReceive
			ready[q] -= op.Count
			held[q] = append(held[q], len(p.Ops))
		case roll < 5 && len(held[q]) > 0:
			i := random.IntN(len(held[q]))
			op.Verb, op.Of, op.Count = powerAck, held[q][i], 0
			if roll == 4 {
				op.Verb, op.Batch = powerNack, false
			}
			held[q] = append(held[q][:i:i], held[q][i+1:]...)
		default:
			op.Verb, op.Size = powerPublish, size
			if random.IntN(3) == 0 {
				op.Size = powerSizes[random.IntN(len(powerSizes))]
			}
			ready[q] += op.Count
		}
		p.Ops = append(p.Ops, op)
	}
	return p
}

func (p powerProgram) words() (all []string) {
	for n, op := range p.Ops {
		text := fmt.Sprintf("%d %s", n, op.Verb)
		switch op.Verb {
		case powerPublish:
			text += fmt.Sprintf(" %d of %d bytes to", op.Count, op.Size)
		case powerReceive:
			text += fmt.Sprintf(" %d from", op.Count)
		default:
			text += fmt.Sprintf(" what %d received from", op.Of)
		}
		text += fmt.Sprintf(" queue %d", op.Queue)
		if op.Batch {
			text += ", in one call"
		}
		all = append(all, text)
	}
	return all
}

// heavy tells whether the program writes very much.
func (p powerProgram) heavy() bool {
	bytes := 0
	for _, op := range p.Ops {
		bytes += op.Count * op.Size
	}
	return bytes > 8*powerHeavySize
}

// smaller leaves operations out, and what refers to them.
func (p powerProgram) smaller() (all []powerProgram) {
	without := func(from, to int) {
		less := p
		less.Ops = nil
		place := make(map[int]int)
		for n, op := range p.Ops {
			if n >= from && n < to {
				continue
			}
			if op.Verb == powerAck || op.Verb == powerNack {
				at, there := place[op.Of]
				if !there {
					continue
				}
				op.Of = at
			}
			place[n] = len(less.Ops)
			less.Ops = append(less.Ops, op)
		}
		if len(less.Ops) > 0 {
			all = append(all, less)
		}
	}
	if half := len(p.Ops) / 2; half > 1 {
		without(half, len(p.Ops))
		without(0, half)
	}
	for n := range p.Ops {
		without(n, n+1)
	}
	if !p.Serial {
		less := p
		less.Serial = true
		all = append(all, less)
	}
	for _, c := range p.Conditions.Smaller() {
		less := p
		less.Conditions = c
		all = append(all, less)
	}
	return all
}

// powerTime is how long the broker is taken through power cuts, at most: beyond that
// there is only the search for the smallest program that goes wrong.
var powerTime = scenario.PhaseBound

// power takes the broker through power cuts.
func (k *kit) power(ctx context.Context, _ *testing.T) {
	k.StopMemory() // what it holds to build states is not the broker's
	a := k.abilities
	states := min(max(powerStates*k.N/validate.BaseScale, leastPower), powerStates)
	saved := filepath.Join(k.Settings().Out, fmt.Sprintf("%s-power-cut-%d", k.ID, k.Seed))
	cuts := k.powerKit()
	var journals []crashstates.Model
	for _, m := range crashstates.Models() {
		if m.Journal {
			journals = append(journals, m)
		}
	}
	tester, err := powercut.New(cuts, k.powerSite, powercut.Options{States: states / powerPrograms, Seed: k.Seed,
		Linger: powerLinger, Patience: scenario.Settle})
	if err != nil {
		k.Fault("%v", err)
		return
	}
	defer func() {
		if err := tester.Close(); err != nil {
			k.Fault("%v", err)
		}
	}()
	if from := os.Getenv("STRESS_CUT"); from != "" {
		f, err := tester.Replay(ctx, from)
		if err != nil {
			k.Fault("STRESS_CUT: %v", err)
		} else if f != nil {
			k.Violate("power_cut", "%v", f)
		}
		return
	}
	random := rand.New(rand.NewPCG(k.Seed, 21))
	began := time.Now()
	// A slow machine tries as many as it can in the time there is.
	within, cancel := context.WithTimeout(ctx, powerTime)
	defer cancel()
	for n := 0; tester.Counts().States < states; n++ {
		p := drawPower(random, n, a)
		var scope powercut.Scope
		if p.Fresh { // whose folder it is to see to the name of the folder is not said
			scope = powercut.Scope{Models: journals, AfterOpen: true}
		}
		f, err := tester.Try(within, p, scope)
		if within.Err() != nil && f == nil {
			break
		}
		if errors.Is(err, powercut.ErrUnsupported) {
			k.NotMeasured("power_cut", "%v", err)
			return
		}
		if err == nil && f != nil {
			if f, err = tester.Shrink(ctx, f); err == nil {
				k.Violate("power_cut", "%s%s", f, keptIn(saved, f.Save(saved)))
				return
			}
		}
		if err != nil {
			k.Fault("%v", err)
			return
		}
	}
	c := tester.Counts()
	k.Note("The power was cut after each of %s calls on files in %d programs and %d recoveries: the broker was opened "+
		"on %s states of the disk that differ from each other, as ext4, xfs and a file system that only keeps to POSIX may "+
		"leave them, in %v. In %d of these programs and recoveries calls failed.",
		validate.Number(float64(c.Calls)), c.Programs, c.Recoveries, validate.Number(float64(c.States)),
		time.Since(began).Round(time.Millisecond), c.Faults)
	for _, n := range c.Notes {
		k.Note("Power cuts: %s.", n)
	}
	if c.States == 0 {
		k.NotMeasured("power_cut", "no state could be checked in the time available")
		return
	}
	k.Record(func(r *report.Scenario) { r.Operations += c.States })
}

// keptIn says where a finding is, and how to look at it again.
func keptIn(dir string, err error) string {
	if err != nil {
		return fmt.Sprintf("it could not be saved: %v", err)
	}
	return fmt.Sprintf("saved in %s; to look at it again, set STRESS_CUT to that folder and run this phase", dir)
}
