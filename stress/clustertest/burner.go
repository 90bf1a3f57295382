package clustertest

import (
	"encoding/json"
	"runtime"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
)

// burnerRole is a process that does nothing but keep every processor busy.
const burnerRole = "processor burner"

func init() {
	proc.Handle(burnerRole, func(l *proc.Link) error {
		for range runtime.NumCPU() {
			go func() {
				for i := uint64(1); ; {
					i *= payload.Golden
				}
			}()
		}
		return proc.Serve(l, func(json.RawMessage) (any, error) { return nil, nil })
	})
}
