//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	measures "tensile/stress/measure"
)

// condition is what a machine is like while a test runs.
type condition struct {
	name    string
	disturb string                      // a key of disturbances, whose process runs beside the test; "" for none
	wrap    []string                    // what is put before the command
	strike  func(pid int) (stop func()) // what is done to the session of the test; nil for nothing
}

var conditions = []condition{
	{name: "quiet"},
	{name: "all cores burning", disturb: "burn"},
	{name: "one core", wrap: []string{"taskset", "-c", "0"}},
	{name: "stalls", strike: stall},
	{name: "memory pressure", disturb: "press"},
}

func conditionNames() (names []string) {
	for _, c := range conditions {
		names = append(names, c.name)
	}
	return names
}

// disturbances are what a process of this program does beside a test, until its
// parent ends.
var disturbances = map[string]func(){"burn": burn, "press": press}

// burn keeps every processor busy.
func burn() {
	for range runtime.NumCPU() {
		go func() {
			for i := uint64(1); i != 0; i += 2 {
			}
		}()
	}
	untilParentEnds()
}

const (
	pressed    = 0.7 // of the memory that is available
	pageSize   = 4096
	pressPause = 50 * time.Millisecond
)

// press holds most of the memory that is available, and uses all of it again and
// again.
func press() {
	size := int64(1 << 30)
	if available := measures.MemoryAvailable(); available != nil {
		size = int64(pressed * float64(*available))
	}
	held := make([]byte, size)
	go func() {
		for {
			for at := 0; at < len(held); at += pageSize {
				held[at]++
			}
			time.Sleep(pressPause)
		}
	}()
	untilParentEnds()
}

// untilParentEnds waits for the end of the standard input, which the parent holds.
func untilParentEnds() { _, _ = io.Copy(io.Discard, os.Stdin) }

// start runs a disturbance in a process, until stop is called.
func start(disturbance string) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	beside := exec.Command(self, disturbance)
	in, err := beside.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := beside.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", disturbance, err)
	}
	return func() {
		_ = in.Close()
		_ = beside.Wait() // it has nothing to say
	}, nil
}

const (
	stallTime = 300 * time.Millisecond
	stallGap  = 1500 * time.Millisecond // between two, on average
)

// stall stops the processes of a session at random, as a machine does that is put off
// by another on the same host.
func stall(session int) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Duration(rand.ExpFloat64() * float64(stallGap))):
			}
			stopped := processesOf(session)
			for _, pid := range stopped {
				_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended
			}
			time.Sleep(stallTime)
			for _, pid := range stopped {
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// processesOf are the processes of a session: a test and its children, each of which has
// a process group of its own.
func processesOf(session int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc(5): pid (name) state ppid pgrp session; a name may hold anything.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 4 || fields[3] != strconv.Itoa(session) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
