package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/goleak"
)

// Baseline is what the process had before a scenario: goroutines, descriptors
// and child processes.
type Baseline struct {
	goroutines  int
	known       goleak.Option
	descriptors map[string]string
	children    []int
}

// TakeBaseline reads what there is now.
func TakeBaseline() Baseline {
	return Baseline{
		goroutines:  runtime.NumGoroutine(),
		known:       goleak.IgnoreCurrent(),
		descriptors: descriptors(),
		children:    Children(),
	}
}

// Leaks is what is there beyond a baseline.
type Leaks struct {
	Goroutines  int `json:"goroutines"`
	Descriptors int `json:"descriptors"`
	Children    int `json:"children"`
	// What describes them: stacks, files, process numbers.
	What []string `json:"what,omitempty"`
}

// None tells whether nothing was left behind.
func (l Leaks) None() bool { return l.Goroutines+l.Descriptors+l.Children == 0 }

// String says what was left behind.
func (l Leaks) String() string {
	if l.None() {
		return "no goroutine, descriptor or process left behind"
	}
	return fmt.Sprintf("left behind: %d goroutines, %d descriptors, %d processes: %s",
		l.Goroutines, l.Descriptors, l.Children, strings.Join(l.What, "; "))
}

// Leaks waits until everything is as in the baseline, or until ctx ends, and
// returns what is there too much. The wait is for what has been told to stop
// and is about to.
func (b Baseline) Leaks(ctx context.Context) Leaks {
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for {
		l := b.compare()
		if l.None() {
			return b.confirm()
		}
		select {
		case <-ctx.Done():
			b.describe(&l)
			return l
		case <-pause.C:
		}
	}
}

func (b Baseline) compare() Leaks {
	l := Leaks{Goroutines: max(runtime.NumGoroutine()-b.goroutines, 0)}
	for fd, target := range descriptors() {
		if b.descriptors[fd] != target {
			l.Descriptors++
		}
	}
	for _, pid := range Children() {
		if !slices.Contains(b.children, pid) {
			l.Children++
		}
	}
	return l
}

// confirm asks goleak, which knows the goroutines by name: one that has ended
// since the baseline may stand in the count for one that leaked.
func (b Baseline) confirm() (l Leaks) {
	if b.goroutines > fewGoroutines {
		return l
	}
	if err := goleak.Find(b.known); err != nil {
		l.Goroutines = max(strings.Count(err.Error(), "Goroutine "), 1)
		l.What = append(l.What, clip(err.Error()))
	}
	return l
}

// fewGoroutines is how many leaked ones are looked at one by one.
const fewGoroutines = 1000

func (b Baseline) describe(l *Leaks) {
	if l.Goroutines > fewGoroutines {
		var text bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&text, 1) // a buffer does not fail
		l.What = append(l.What, clip(text.String()))
	} else if l.Goroutines > 0 {
		if err := goleak.Find(b.known); err != nil {
			l.What = append(l.What, clip(err.Error()))
		}
	}
	for fd, target := range descriptors() {
		if b.descriptors[fd] != target && len(l.What) < 10 {
			l.What = append(l.What, "descriptor "+fd+" "+target)
		}
	}
	for _, pid := range Children() {
		if !slices.Contains(b.children, pid) && len(l.What) < 10 {
			l.What = append(l.What, "process "+strconv.Itoa(pid))
		}
	}
}

// clip keeps a report readable when thousands of stacks are in it.
func clip(text string) string {
	const most = 4000
	if len(text) > most {
		return text[:most] + " …"
	}
	return text
}

// descriptors maps the open descriptors of this process to what they are. It
// is empty where the system does not tell.
func descriptors() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	open := make(map[string]string, len(entries))
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // the one that read the folder
		}
		// The runtime opens these when it first needs them and keeps them.
		if strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/") {
			continue
		}
		open[e.Name()] = target
	}
	return open
}

// Children returns the numbers of the processes that this one has started and
// not yet reaped, dead ones included. It is empty where the system does not
// tell.
func Children() []int {
	threads, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil
	}
	var pids []int
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
