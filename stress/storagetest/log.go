package storagetest

import (
	"fmt"
	"strings"
	"testing"

	"tensile/stress/internal/powercut"
)

// TestLog tests the log that open opens in a folder under power cuts. The test is executed
// again in child processes, where open is called too.
func TestLog(t *testing.T, open func(dir string) (Log, error), o Options) {
	test(t, logOpener(open), o)
}

// TryLog is like TestLog, but returns the outcome instead of failing the test.
func TryLog(t *testing.T, open func(dir string) (Log, error), o Options) Outcome {
	return try(t, logOpener(open), o)
}

func logOpener(open func(dir string) (Log, error)) *opener {
	return &opener{
		open: func(dir string) (subject, error) {
			l, err := open(dir)
			if err != nil {
				return nil, err
			}
			return logSubject{l}, nil
		},
		verbs: []verb{appends, appends, appends, appends, reopens},
		judge: judgeLog,
		owed:  owedByLog,
	}
}

type logSubject struct{ Log }

func (s logSubject) do(p program, n int, _ operation) error { return s.Append(p.valueOf(n)) }
func (s logSubject) use(p program, n int) error             { return s.Append(p.valueOf(n)) }
func (s logSubject) close() error                           { return s.Close() }

func (s logSubject) read(p program) ([]item, error) {
	records, err := s.Records()
	if err != nil {
		return nil, err
	}
	items := []item{}
	for _, r := range records {
		var i item
		i.Value, i.Wrong = p.name(r)
		items = append(items, i)
	}
	return items, nil
}

func judgeLog(p program, l powercut.Ledger, items []item) *powercut.Violation {
	wrong := func(kind, format string, args ...any) *powercut.Violation {
		return &powercut.Violation{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	place := make(map[int]int)
	for at, i := range items {
		if i.Value < 0 {
			return wrong("in part", "record %d of the log is %s", at, i.Wrong)
		}
		if i.Value >= len(l) || !l[i.Value].Begun() {
			return wrong("invented", "record %d of the log is %s, which had not begun", at, i)
		}
		if before, twice := place[i.Value]; twice {
			return wrong("twice", "record %d of the log and record %d are both %s", before, at, i)
		}
		for earlier := range items[:at] {
			if a, b := l[items[earlier].Value], l[i.Value]; b.Ended >= 0 && b.Ended < a.Began {
				return wrong("reordered", "%s comes behind %s, which was appended later", i, items[earlier])
			}
		}
		place[i.Value] = at
	}
	for n, e := range l {
		if _, there := place[n]; e.Confirmed() && !there && p.Operations[n].Verb == appends {
			return wrong("lost", "record %d was confirmed and is not there", n)
		}
	}
	return nil
}

func owedByLog(p program, l powercut.Ledger) string {
	var all []string
	for n, e := range l {
		switch {
		case p.Operations[n].Verb != appends || !e.Begun():
		case e.Confirmed():
			all = append(all, fmt.Sprintf("record %d, confirmed", n))
		default:
			all = append(all, fmt.Sprintf("record %d or not, as it was not confirmed", n))
		}
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, "; ")
}
