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
	own, ok2 := treeSeconds(os.Getpid())
	return Meter{time.Now(), busy, own, ok && ok2}
}

// Share is the part of the processors that other processes left, from 0 to 1.
// ok is false where the system does not tell, or where the stretch is too short
// for its clock, which counts hundredths of a second.
func (m Meter) Share() (share float64, ok bool) {
	took := time.Since(m.began).Seconds()
	busy, ok1 := busySeconds()
	own, ok2 := treeSeconds(os.Getpid())
	if !m.known || !ok1 || !ok2 || took < 0.1 {
		return 1, false
	}
	foreign := (busy - m.busy) - (own - m.own)
	share = 1 - foreign/(took*float64(runtime.NumCPU()))
	return min(max(share, 0), 1), true
}

// clockTick is the kernel's USER_HZ, 100 on every Linux platform of Go.
const clockTick = 100

// busySeconds reads the time all processors were not idle, stolen time
// included, from the first line of /proc/stat.
func busySeconds() (float64, bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	ticks := 0.0
	for i, field := range fields[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, false
		}
		if i != 3 && i != 4 {
			ticks += n
		}
	}
	return ticks / clockTick, true
}

// treeSeconds is the processor time of a process, of its children, and of
// those it has reaped.
func treeSeconds(pid int) (float64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name in parentheses may hold anything: count from behind it.
	_, rest, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 15 {
		return 0, false
	}
	ticks := 0.0
	for _, field := range fields[11:15] { // utime stime cutime cstime
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, false
		}
		ticks += n
	}
	seconds := ticks / clockTick
	if pid == os.Getpid() {
		for _, child := range Children() {
			if s, ok := treeSeconds(child); ok {
				seconds += s
			}
		}
	}
	return seconds, true
}
