package stress

import (
	"errors"
	"os"
	"runtime/pprof"
	"strings"
)

// unrecorded runs f while the flight recorder, which holds memory, does not.
func (s *scenario) unrecorded(f func()) {
	if s.run.Recorder == nil || !s.run.Recorder.Enabled() {
		f()
		return
	}
	s.run.Recorder.Stop()
	defer func() {
		if err := s.run.Recorder.Start(); err != nil {
			s.run.Folder.Logf("%s: the flight recorder does not go on: %v", s.id, err)
		}
	}()
	f()
}

// keepEvidence saves the trace of the last seconds, and a goroutine and a heap
// profile, in the output folder; it returns sentences that name them, and what child
// processes print.
func (s *scenario) keepEvidence() string {
	var kept []string
	keep := func(name string, write func(*os.File) error) {
		file, err := s.run.Folder.CreateEvidence(s.id + name)
		if err == nil {
			err = errors.Join(write(file), file.Close())
		}
		if err != nil {
			s.run.Folder.Logf("%s: no evidence %s: %v", s.id, name, err)
			return
		}
		kept = append(kept, file.Name())
	}
	if s.run.Recorder != nil && s.run.Recorder.Enabled() {
		keep(".trace", func(f *os.File) error { _, err := s.run.Recorder.WriteTo(f); return err })
	}
	keep(".goroutines.txt", func(f *os.File) error { return pprof.Lookup("goroutine").WriteTo(f, 1) })
	keep(".heap.pprof", func(f *os.File) error { return pprof.Lookup("heap").WriteTo(f, 0) })
	s.mu.Lock()
	children := len(s.logs) > 0
	s.mu.Unlock()
	var sentences []string
	if len(kept) > 0 {
		sentences = append(sentences, "kept of the moment: "+strings.Join(kept, ", "))
	}
	if children {
		sentences = append(sentences, "what the child processes print: "+s.run.Folder.Logs(s.id))
	}
	return strings.Join(sentences, "\n")
}
