package stress

import (
	"errors"
	"os"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"time"
)

// What the flight recorder keeps: enough for the seconds around a miss, and
// little beside the memory that a scenario may use.
const (
	recordedTime  = 2 * time.Second
	recordedBytes = 8 << 20
)

// startFlightRecorder has the runtime keep the last seconds of its trace. It
// returns nil where another recorder is at work already.
func startFlightRecorder() (*trace.FlightRecorder, error) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: recordedTime, MaxBytes: recordedBytes})
	if err := recorder.Start(); err != nil {
		return nil, err
	}
	return recorder, nil
}

// unrecorded runs f while the flight recorder, which holds memory, does not.
func (s *scenario) unrecorded(f func()) {
	if s.run.recorder == nil || !s.run.recorder.Enabled() {
		f()
		return
	}
	s.run.recorder.Stop()
	defer func() {
		if err := s.run.recorder.Start(); err != nil {
			s.run.folder.Logf("%s: the flight recorder does not go on: %v", s.id, err)
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
		file, err := s.run.folder.CreateEvidence(s.id + name)
		if err == nil {
			err = errors.Join(write(file), file.Close())
		}
		if err != nil {
			s.run.folder.Logf("%s: no evidence %s: %v", s.id, name, err)
			return
		}
		kept = append(kept, file.Name())
	}
	if s.run.recorder != nil && s.run.recorder.Enabled() {
		keep(".trace", func(f *os.File) error { _, err := s.run.recorder.WriteTo(f); return err })
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
		sentences = append(sentences, "what the child processes print: "+s.run.folder.Logs(s.id))
	}
	return strings.Join(sentences, "\n")
}
