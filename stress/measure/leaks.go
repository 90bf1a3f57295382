package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	startSignals()
	startPoller()
	return Baseline{
		goroutines:  goroutines(),
		known:       goleak.IgnoreCurrent(),
		descriptors: descriptors(),
		children:    children(),
	}
}

// Leaks is what is there beyond a baseline.
type Leaks struct {
	Goroutines  int `json:"goroutines"`
	Descriptors int `json:"descriptors"`
	Children    int `json:"children"`
	// What describes them: stacks, files, process numbers.
	What []string `json:"what,omitempty"`
	// Untold are those of the three that this system does not report.
	Untold []string `json:"untold,omitempty"`
}

// None tells whether nothing was left behind.
func (l Leaks) None() bool { return l.Goroutines+l.Descriptors+l.Children == 0 }

// String says what was left behind.
func (l Leaks) String() string {
	if l.None() && len(l.Untold) > 0 {
		return "no goroutine left behind; this system does not report " + strings.Join(l.Untold, " and ")
	}
	if l.None() {
		return "no goroutine, descriptor or process left behind"
	}
	return fmt.Sprintf("left behind: %d goroutines, %d descriptors, %d processes: %s",
		l.Goroutines, l.Descriptors, l.Children, strings.Join(l.What, "; "))
}

// Leaks waits until everything is as in the baseline, or until ctx ends, and
// returns what is there too much. The wait is for what has been told to stop
// and is about to.
func (b Baseline) Leaks(ctx context.Context) (l Leaks) {
	defer func() { l.Untold = untold() }()
	pause := time.NewTicker(2 * time.Millisecond)
	defer pause.Stop()
	for {
		if b.compare().None() {
			if l := b.confirm(); l.None() || ctx.Err() != nil {
				return l
			}
		}
		select {
		case <-ctx.Done():
			return b.describe()
		case <-pause.C:
		}
	}
}

// startPoller has the runtime open the descriptors by which it waits for others, which it
// keeps: so that those of a subject can be told from them.
func startPoller() {
	r, w, err := os.Pipe()
	if err == nil {
		_, _ = r.Close(), w.Close() // nothing was written
	}
}

func (b Baseline) compare() Leaks {
	l := Leaks{Goroutines: max(runtime.NumGoroutine()-b.goroutines, 0)}
	for fd, target := range descriptors() {
		if b.descriptors[fd] != target {
			l.Descriptors++
		}
	}
	for _, pid := range children() {
		if !slices.Contains(b.children, pid) {
			l.Children++
		}
	}
	return l
}

// confirm asks goleak, which knows the goroutines by name: one that has ended
// since the baseline may stand in the count for one that leaked.
func (b Baseline) confirm() (l Leaks) {
	if b.goroutines <= fewGoroutines {
		l.Goroutines, l.What = b.named()
	}
	return l
}

// fewGoroutines is how many are looked at one by one.
const fewGoroutines = 1000

// eachGoroutine is how goleak begins the description of one.
var eachGoroutine = regexp.MustCompile(`Goroutine \d+ in state `)

// ofTheTrace leaves out the goroutine that hands on the runtime's trace: the flight
// recorder has another one each time that it is started. goleak itself knows it only
// while it reads.
var ofTheTrace = goleak.IgnoreAnyFunction("runtime/trace.(*traceMultiplexer).startLocked.func1")

// named returns the goroutines that goleak finds.
func (b Baseline) named() (n int, what []string) {
	err := goleak.Find(b.known, ofTheTrace)
	if err == nil {
		return 0, nil
	}
	return len(eachGoroutine.FindAllString(err.Error(), -1)), []string{clip(err.Error())}
}

// describe counts what leaked and says what it is.
func (b Baseline) describe() Leaks {
	var named int
	var what []string
	if b.compare().Goroutines <= fewGoroutines {
		named, what = b.named()
	}
	// Counted again now: the goroutine in which the context ended was there too.
	l := b.compare()
	l.Goroutines, l.What = max(goroutines()-b.goroutines, named, 0), what
	if l.Goroutines > 0 && len(l.What) == 0 {
		// Too many, or in a system call, where goleak does not look.
		var text bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&text, 1) // a buffer does not fail
		l.What = append(l.What, clip(text.String()))
	}
	for fd, target := range descriptors() {
		if b.descriptors[fd] != target && len(l.What) < 10 {
			l.What = append(l.What, "descriptor "+fd+" "+target)
		}
	}
	for _, pid := range children() {
		if !slices.Contains(b.children, pid) && len(l.What) < 10 {
			l.What = append(l.What, "process "+strconv.Itoa(pid))
		}
	}
	return l
}

// goroutines counts them, several times: while the garbage collector frees the
// stacks of goroutines that have ended, the runtime counts those as well.
func goroutines() int {
	var counts [5]int
	for i := range counts {
		if i > 0 {
			time.Sleep(200 * time.Microsecond)
		}
		counts[i] = runtime.NumGoroutine()
	}
	slices.Sort(counts[:])
	return counts[len(counts)/2]
}

// clip keeps a report readable when thousands of stacks are in it.
func clip(text string) string {
	const most = 4000
	if len(text) > most {
		return text[:most] + " …"
	}
	return text
}

// waitedBy are the descriptors without a name that a subject may wait by.
var waitedBy = map[string]bool{"[eventpoll]": true, "[eventfd]": true, "[timerfd]": true, "[signalfd]": true,
	"inotify": true}

// descriptors maps the open descriptors of this process to what they are. It
// is empty if the system does not tell.
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
		// The runtime opens some when it first needs them, and keeps them; and one is there
		// for each child process, which is counted itself.
		kind, anonymous := strings.CutPrefix(target, "anon_inode:")
		if anonymous && !waitedBy[kind] || strings.HasPrefix(target, "/sys/fs/cgroup/") {
			continue
		}
		// A file that somebody removes stays the one that was open before.
		open[e.Name()] = strings.TrimSuffix(target, " (deleted)")
	}
	return open
}

// untold are the kinds that the system does not report.
func untold() (kinds []string) {
	if descriptors() == nil {
		kinds = append(kinds, "descriptors")
	}
	if threads, err := filepath.Glob(childrenOfThreads); err != nil || len(threads) == 0 {
		kinds = append(kinds, "processes")
	}
	return kinds
}

// childrenOfThreads are the files of Linux in which the children of a process are.
const childrenOfThreads = "/proc/self/task/*/children"

// children returns the numbers of the processes that this one has started and
// not yet reaped, dead ones included. It is empty if the system does not
// tell.
func children() []int {
	threads, err := filepath.Glob(childrenOfThreads)
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
