package stress

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"time"

	"tensile/stress/report"
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

// evidencePath is where a file of evidence goes; name begins behind the name of
// the scenario.
func (s *scenario) evidencePath(name string) string {
	return s.run.folder.Path(filepath.Join(report.EvidenceFolder, s.id+name))
}

// keepEvidence saves the trace of the last seconds, and a goroutine and a heap
// profile, in the output folder; it returns sentences that name them, and what child
// processes print.
func (s *scenario) keepEvidence() string {
	var kept []string
	keep := func(name string, write func(*os.File) error) {
		path := s.evidencePath(name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			var file *os.File
			if file, err = os.Create(path); err == nil {
				err = errors.Join(write(file), file.Close())
			}
		}
		if err != nil {
			s.run.folder.Logf("%s: no %s: %v", s.id, path, err)
			return
		}
		kept = append(kept, path)
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
