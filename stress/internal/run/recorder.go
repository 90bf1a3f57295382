package run

import (
	"runtime/trace"
	"time"
)

const recordedTime = 2 * time.Second

const recordedBytes = 8 << 20

// startFlightRecorder has the runtime keep the last seconds of its trace. It
// returns nil if another recorder is at work already.
func startFlightRecorder() (*trace.FlightRecorder, error) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: recordedTime, MaxBytes: recordedBytes})
	if err := recorder.Start(); err != nil {
		return nil, err
	}
	return recorder, nil
}
