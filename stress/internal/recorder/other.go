//go:build !linux || !(amd64 || arm64)

package recorder

import "tensile/stress/internal/crashstates"

// Enter is not supported here.
func Enter(bool, ...int) (int, error) { return 0, ErrUnsupported }

// Say does nothing here.
func Say(string) {}

// WithoutSyncs is not supported here.
func WithoutSyncs() error { return ErrUnsupported }

// Recorder is not supported here.
type Recorder struct{}

// Start is not supported here.
func Start(int, int, string, Options) (*Recorder, error) { return nil, ErrUnsupported }

// Stop has nothing to stop.
func (*Recorder) Stop() (*crashstates.Record, error) { return nil, ErrUnsupported }

// Again is not supported here.
func (*Recorder) Again(string, Options) error { return ErrUnsupported }

// Wait has nothing to wait for.
func (*Recorder) Wait() (*crashstates.Record, error) { return nil, ErrUnsupported }
