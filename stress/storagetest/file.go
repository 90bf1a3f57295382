package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tensile/stress/internal/powercut"
)

// TestFile tests the file that open opens in a folder under power cuts. The test is executed
// again in child processes, where open is called too.
func TestFile(t *testing.T, open func(dir string) (File, error), o Options) {
	test(t, fileOpener(open), o)
}

// TryFile is like TestFile, but returns the outcome instead of failing the test.
func TryFile(t *testing.T, open func(dir string) (File, error), o Options) Outcome {
	return try(t, fileOpener(open), o)
}

func fileOpener(open func(dir string) (File, error)) *opener {
	return &opener{
		open: func(dir string) (subject, error) {
			f, err := open(dir)
			if err != nil {
				return nil, err
			}
			return fileSubject{f}, nil
		},
		verbs: []verb{saves, saves, saves, reopens},
		judge: judgeFile,
		owed:  owedByFile,
	}
}

type fileSubject struct{ File }

func (s fileSubject) do(p program, n int, _ operation) error { return s.Save(p.valueOf(n)) }
func (s fileSubject) use(p program, n int) error             { return s.Save(p.valueOf(n)) }
func (s fileSubject) close() error                           { return s.Close() }

func (s fileSubject) read(p program) ([]item, error) {
	content, err := s.Load()
	if err != nil {
		return nil, err
	}
	if content == nil {
		return []item{}, nil
	}
	var i item
	i.Value, i.Wrong = p.name(content)
	return []item{i}, nil
}

// mayHold are the saves whose content the file may have: the last that was
// confirmed, and those that began and did not end before that one began.
func mayHold(p program, l powercut.Ledger) (all []int) {
	all = []int{-1}
	last := -1 // the time at which the latest of those confirmed began
	for n, e := range l {
		if p.Operations[n].Verb == saves && e.Confirmed() {
			last = max(last, e.Began)
			all = all[:0]
		}
	}
	for n, e := range l {
		if p.Operations[n].Verb == saves && e.Begun() && (e.Ended < 0 || e.Ended > last || e.Error != "") {
			all = append(all, n)
		}
	}
	return all
}

func judgeFile(p program, l powercut.Ledger, items []item) *powercut.Violation {
	allowed := mayHold(p, l)
	has := -1
	for _, i := range items {
		if has = i.Value; has < 0 {
			return &powercut.Violation{Kind: "in part", Text: "the file holds " + i.Wrong}
		}
	}
	if slices.Contains(allowed, has) {
		return nil
	}
	v := &powercut.Violation{
		Kind: "lost", Text: fmt.Sprintf("the file holds %s, and should hold %s", list(items), owedByFile(p, l)),
	}
	if has >= 0 && !l[has].Begun() {
		v.Kind = "invented"
	}
	return v
}

func owedByFile(p program, l powercut.Ledger) string {
	var all []string
	for _, n := range mayHold(p, l) {
		if n < 0 {
			all = append(all, "nothing")
		} else {
			all = append(all, fmt.Sprintf("what operation %d wrote", n))
		}
	}
	return strings.Join(all, " or ")
}
