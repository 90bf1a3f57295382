package scenario

import (
	"errors"
	"os"
	"runtime/pprof"
	"strings"
)

// Unrecorded runs f while the flight recorder, which holds memory, does not.
func (s *Scenario) Unrecorded(f func()) {
	if s.Run.Recorder == nil || !s.Run.Recorder.Enabled() {
		f()
		return
	}
	s.Run.Recorder.Stop()
	defer func() {
		if err := s.Run.Recorder.Start(); err != nil {
			s.Run.Folder.Logf("%s: the flight recorder does not go on: %v", s.ID, err)
		}
	}()
	f()
}

// keepEvidence saves the trace of the last seconds, and a goroutine and a heap
// profile, in the output folder; it returns sentences that name them, and what child
// processes print.
func (s *Scenario) keepEvidence() string {
	var kept []string
	keep := func(name string, write func(*os.File) error) {
		file, err := s.Run.Folder.CreateEvidence(s.ID + name)
		if err == nil {
			err = errors.Join(write(file), file.Close())
		}
		if err != nil {
			s.Run.Folder.Logf("%s: no evidence %s: %v", s.ID, name, err)
			return
		}
		kept = append(kept, file.Name())
	}
	if s.Run.Recorder != nil && s.Run.Recorder.Enabled() {
		keep(".trace", func(f *os.File) error { _, err := s.Run.Recorder.WriteTo(f); return err })
	}
	keep(".goroutines.txt", func(f *os.File) error { return pprof.Lookup("goroutine").WriteTo(f, 1) })
	keep(".heap.pprof", func(f *os.File) error { return pprof.Lookup("heap").WriteTo(f, 0) })
	s.mu.Lock()
	children := len(s.logs) > 0
	s.mu.Unlock()
	var sentences []string
	if len(kept) > 0 {
		sentences = append(sentences, "evidence: "+strings.Join(kept, ", "))
	}
	if children {
		sentences = append(sentences, "what the child processes print: "+s.Run.Folder.Logs(s.ID))
	}
	return strings.Join(sentences, "\n")
}
