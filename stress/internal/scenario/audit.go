package scenario

import (
	"context"
	"os"
	"runtime"
	"strings"

	"tensile/stress/report"
)

// Audit waits until everything the scenario used is gone, and counts what is
// not. more are leaks that only the kit can see.
func (s *Scenario) Audit(more int) {
	ctx, cancel := context.WithTimeout(context.Background(), Settle)
	defer cancel()
	s.StopMemory()
	s.closeLogs()
	runtime.GC()
	leaks := s.baseline.Leaks(ctx)
	s.Record(func(r *report.Scenario) { r.Leaks = &leaks })
	n := leaks.Goroutines + leaks.Descriptors + leaks.Children + more
	if n == 0 && len(leaks.Untold) > 0 {
		s.NotMeasured("leaks", "this system does not report %s", strings.Join(leaks.Untold, " and "))
		return
	}
	s.Measured("leaks", float64(n))
	if !leaks.None() {
		s.Violate("leaks", "%s", leaks)
	}
}

// LogFile is where a child process of that name writes what it prints, in the
// output folder; children that come after one another share it. The files stay
// if the scenario fails. It returns nil, which leads to the standard error,
// where there can be no file.
func (s *Scenario) LogFile(name string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if file := s.logs[name]; file != nil {
		return file
	}
	file, err := s.Run.Folder.CreateLog(s.ID, name)
	if err != nil {
		s.Run.Folder.Logf("%s: no log of %s: %v", s.ID, name, err)
		return nil
	}
	if s.logs == nil {
		s.logs = make(map[string]*os.File)
	}
	s.logs[name] = file
	return file
}

// closeLogs closes the files of logFile.
func (s *Scenario) closeLogs() {
	for _, file := range s.logs {
		_ = file.Close() // children wrote to it, not this process
	}
	s.logs = nil
}

// OnInterrupt has end called if the process is interrupted.
func (s *Scenario) OnInterrupt(end func()) {
	s.Run.Mu.Lock()
	defer s.Run.Mu.Unlock()
	s.Run.AtEnd = append(s.Run.AtEnd, end)
}
