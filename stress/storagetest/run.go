package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"tensile/stress/internal/powercut"
)

// subject is a Log, a Store or a File, as programs call it.
type subject interface {
	do(p program, number int, o operation) error
	// read returns what is there, identified by the values of the program.
	read(p program) ([]item, error)
	// use writes something that the program does not.
	use(p program, number int) error
	close() error
}

// item is something that was found.
type item struct {
	Key   string `json:",omitempty"`
	Value int    // the operation that wrote it, or -1
	Wrong string `json:",omitempty"` // what is wrong with it
}

func (i item) String() string {
	text := fmt.Sprintf("what operation %d wrote", i.Value)
	switch {
	case i.Value < 0:
		text = i.Wrong
	case i.Value >= extra:
		text = "what was written after the cut"
	}
	if i.Key != "" {
		return i.Key + ": " + text
	}
	return text
}

func list(items []item) string {
	if len(items) == 0 {
		return "nothing"
	}
	var all []string
	for _, i := range items {
		all = append(all, i.String())
	}
	return strings.Join(all, "; ")
}

// looked is what was found after a cut.
type looked struct {
	Items []item
	// Unstable says how what was found changed when it was opened again.
	Unstable string `json:",omitempty"`
}

// opener opens a subject. judge returns what is wrong with the first reading.
type opener struct {
	open  func(dir string) (subject, error)
	verbs []verb
	judge func(p program, l powercut.Ledger, items []item) *powercut.Violation
	owed  func(p program, l powercut.Ledger) string
}

func (o *opener) kit() *powercut.Kit[program, looked] {
	return &powercut.Kit[program, looked]{
		Prepare: o.prepare, Run: o.run, Look: o.look, Recover: o.recover, Smaller: program.smaller, Operations: program.words,
		Conditions: func(p program) powercut.Conditions { return p.Conditions },
		Same: func(_ program, _ powercut.Ledger, a, b looked) string {
			if reflect.DeepEqual(a.Items, b.Items) {
				return ""
			}
			return fmt.Sprintf("opened a second time it held: %s; and had held: %s", list(b.Items), list(a.Items))
		},
		Concurrent: func(p program) bool { return p.goroutines() > 1 },
		Judge: func(p program, l powercut.Ledger, found looked) *powercut.Violation {
			if v := o.judge(p, l, found.Items); v != nil {
				return v
			}
			if found.Unstable != "" {
				return &powercut.Violation{Kind: powercut.Unstable, Text: found.Unstable}
			}
			return nil
		},
		Print: func(p program, l powercut.Ledger, found looked) string {
			return fmt.Sprintf("found: %s\nowed:  %s", list(found.Items), o.owed(p, l))
		},
	}
}

// prepare opens and closes the subject once.
func (o *opener) prepare(dir string, p program) error {
	if p.Fresh {
		return nil
	}
	s, err := o.open(dir)
	if err != nil {
		return fmt.Errorf("in an empty folder open returned %w", err)
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("close returned %w", err)
	}
	return nil
}

// run does the operations of each goroutine in their order.
func (o *opener) run(dir string, p program, say powercut.Say) error {
	s, err := o.open(dir)
	if err != nil {
		return fmt.Errorf("open returned %w", err)
	}
	errs := make([]error, max(p.goroutines(), 1))
	var all sync.WaitGroup
	for by := range p.goroutines() {
		all.Go(func() {
			for n, op := range p.Operations {
				if op.By != by {
					continue
				}
				say.Begins(n)
				if op.Verb == reopens {
					if s, errs[by] = o.again(dir, s); errs[by] != nil {
						return
					}
				} else if err := s.do(p, n, op); err != nil {
					say.Failed(n, err)
					continue
				}
				say.Confirmed(n, "")
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if err := s.close(); err != nil {
		return fmt.Errorf("close returned %w", err)
	}
	return nil
}

// again closes the subject and opens it again.
func (o *opener) again(dir string, s subject) (subject, error) {
	if err := s.close(); err != nil {
		return nil, fmt.Errorf("close returned %w", err)
	}
	s, err := o.open(dir)
	if err != nil {
		return nil, fmt.Errorf("opened again, open returned %w", err)
	}
	return s, nil
}

// recover opens what is left and reads it.
func (o *opener) recover(dir string, p program, read func(looked)) error {
	s, err := o.open(dir)
	if err != nil {
		return fmt.Errorf("after the cut open returned %w", err)
	}
	items, err := s.read(p)
	if err != nil {
		_ = s.close() // something else is wrong already
		return fmt.Errorf("after the cut, reading returned %w", err)
	}
	read(looked{Items: items})
	if err := s.close(); err != nil {
		return fmt.Errorf("close returned %w", err)
	}
	return nil
}

// look opens what is left, reads it, uses it, and checks that it stays the same.
func (o *opener) look(dir string, p program, _ bool) (found looked, err error) {
	s, err := o.open(dir)
	if err != nil {
		return found, fmt.Errorf("after the cut open returned %w", err)
	}
	defer func() {
		if s != nil {
			_ = s.close() // something else is wrong already
		}
	}()
	if found.Items, err = s.read(p); err != nil {
		return found, fmt.Errorf("after the cut, reading returned %w", err)
	}
	expect := func(want []item, when string) error {
		again, err := s.read(p)
		if err != nil {
			return fmt.Errorf("%s, reading returned %w", when, err)
		}
		if !reflect.DeepEqual(again, want) && found.Unstable == "" {
			found.Unstable = fmt.Sprintf("%s it held: %s; and should have held: %s", when, list(again), list(want))
		}
		return nil
	}
	want := slices.Clone(found.Items)
	for round := range 2 {
		if s, err = o.again(dir, s); err != nil {
			return found, err
		}
		if err = expect(want, "closed and opened again after the cut"); err != nil {
			return found, err
		}
		if round > 0 {
			break
		}
		if err = s.use(p, extra); err != nil {
			return found, fmt.Errorf("used after the cut it returned %w", err)
		}
		want = o.with(p, want)
		if err = expect(want, "used after the cut"); err != nil {
			return found, err
		}
	}
	err, s = s.close(), nil
	if err != nil {
		err = fmt.Errorf("close returned %w", err)
	}
	return found, err
}

// with is what must be there with what use has written.
func (o *opener) with(p program, items []item) []item {
	switch o.verbs[0] {
	case saves:
		return []item{{Value: extra}}
	case appends:
		return append(slices.Clone(items), item{Value: extra})
	}
	var all []item
	for _, key := range p.extraKeys() {
		items = slices.DeleteFunc(slices.Clone(items), func(i item) bool { return i.Key == key })
		all = append(all, item{Key: key, Value: extra})
	}
	all = append(all, items...)
	slices.SortFunc(all, func(a, b item) int { return strings.Compare(a.Key, b.Key) })
	return all
}
