package measure

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Meter tells which share of the processors was there for this process and its
// children over a stretch of time, and which other processes held.
type Meter struct {
	began time.Time
	busy  float64 // seconds that all processors spent working, in total
	own   float64 // seconds that this process and its children spent
	known bool
}

// StartMeter begins a stretch.
func StartMeter() Meter {
	busy, ok := busySeconds()
	own, ok2 := treeSeconds()
	return Meter{time.Now(), busy, own, ok && ok2}
}

// Busy is the part of the processors that this process itself has used since
// the meter was started, from 0 to 1. Read over a stretch in which a harness
// does nothing, it is what other goroutines of the process hold. ok is as for
// Share.
func (m Meter) Busy() (part float64, ok bool) {
	took := time.Since(m.began).Seconds()
	own, ok := treeSeconds()
	if !m.known || !ok || took < shortestStretch {
		return 0, false
	}
	return min(max((own-m.own)/(took*float64(runtime.NumCPU())), 0), 1), true
}

// shortestStretch in seconds makes the clock, which counts hundredths, good to a
// tenth.
const shortestStretch = 0.1

// Share is the part of the processors that other processes left, from 0 to 1.
// ok is false if the system does not tell, or where the stretch is too short
// for its clock, which counts hundredths of a second.
func (m Meter) Share() (share float64, ok bool) {
	took := time.Since(m.began).Seconds()
	busy, ok1 := busySeconds()
	own, ok2 := treeSeconds()
	if !m.known || !ok1 || !ok2 || took < shortestStretch {
		return 1, false
	}
	return portion(busy-m.busy, own-m.own, took, runtime.NumCPU()), true
}

// portion is what others left of the time of all processors, given the seconds
// that these and this process tree were busy.
func portion(busy, own, took float64, cores int) float64 {
	foreign := busy - own
	return min(max(1-foreign/(took*float64(cores)), 0), 1)
}

// clockTick is the kernel's USER_HZ, 100 on every Linux platform of Go.
const clockTick = 100

// busySeconds is the time that all processors were not idle, stolen time
// included.
func busySeconds() (float64, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return parseBusy(string(text))
}

// parseBusy reads the first line of /proc/stat, which sums up all processors.
// See proc_stat(5).
func parseBusy(text string) (seconds float64, ok bool) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	idle := func(i int) bool { return i == 3 || i == 4 }
	return sumTicks(fields[1:9], idle) // user nice system idle iowait irq softirq steal
}

// treeSeconds is the processor time of this process, of its children, and of
// those it has reaped.
func treeSeconds() (float64, bool) {
	seconds, ok := processSeconds(os.Getpid())
	for _, child := range children() {
		if s, there := processSeconds(child); there {
			seconds += s
		}
	}
	return seconds, ok
}

func processSeconds(pid int) (float64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	return parseProcess(string(text))
}

// parseProcess reads /proc/[pid]/stat: the time of a process and of the
// children it has reaped. See proc_pid_stat(5).
func parseProcess(text string) (seconds float64, ok bool) {
	// The name, in parentheses, may hold anything, also parentheses.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, false
	}
	return sumTicks(fields[11:15], nil) // utime stime cutime cstime
}

// sumTicks adds up times in ticks but for those to be skipped.
func sumTicks(fields []string, skip func(i int) bool) (seconds float64, ok bool) {
	ticks := 0.0
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, false
		}
		if skip == nil || !skip(i) {
			ticks += float64(n)
		}
	}
	return ticks / clockTick, true
}
