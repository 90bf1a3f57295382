package report

import (
	"fmt"
	"io"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Knee is the search for the rate at which a subject misses a threshold.
type Knee struct {
	Throughput float64    `json:"throughput_ops_per_s"` // of the burst before
	Rate       float64    `json:"rate_ops_per_s"`       // highest at which all thresholds held; 0 for none
	Missed     string     `json:"missed"`               // what was missed at the next; "" if nothing ever was
	Steps      []KneeStep `json:"steps"`
}

// KneeStep is one rate of the search.
type KneeStep struct {
	Asked   float64         `json:"asked_ops_per_s"`
	Offered float64         `json:"offered_ops_per_s"`
	Latency measure.Latency `json:"latency"`
	Missed  string          `json:"missed,omitempty"`
}

// Scaling is how throughput and memory grow with N and with the processors.
type Scaling struct {
	Steps []ScalingStep `json:"steps"`
	Cut   string        `json:"cut,omitempty"` // which N were left out, and why
	// The exponents e of time ~ N^e and memory ~ N^e; nil where there were too
	// few steps.
	TimeExponent   *float64 `json:"time_exponent"`
	MemoryExponent *float64 `json:"memory_exponent"`

	Processors []ProcessorStep `json:"processors"`
	USL        *measure.USL    `json:"usl"` // nil for fewer than three numbers of processors
}

// ScalingStep is one burst.
type ScalingStep struct {
	N          int     `json:"n"`
	Throughput float64 `json:"ops_per_s"`
	Memory     int64   `json:"memory_bytes"` // heap and stacks above what there was before, at the peak
}

// ProcessorStep is the burst of the scenario with a number of processors.
type ProcessorStep struct {
	Processors int     `json:"processors"`
	Throughput float64 `json:"ops_per_s"`
}

func (k *Knee) markdown(w io.Writer) {
	fmt.Fprint(w, "\n### Where it breaks\n\n")
	switch {
	case len(k.Steps) == 0:
		fmt.Fprintf(w, "Not measured: %s.\n", k.Missed)
		return
	case k.Missed == "":
		fmt.Fprintf(w, "All thresholds held up to %s ops/s, the highest rate offered.\n\n", validate.Number(k.Rate))
	default:
		fmt.Fprintf(w, "All thresholds held up to %s ops/s; at the next rate: %s.\n\n", validate.Number(k.Rate), k.Missed)
	}
	head(w, "asked, ops/s", "offered, ops/s", "mean", "p50", "p95", "p99", "p99.9", "max", "")
	for _, s := range k.Steps {
		row(w, append(append([]string{validate.Number(s.Asked), validate.Number(s.Offered)}, times(&s.Latency)...), s.Missed)...)
	}
}

func (s *Scaling) markdown(w io.Writer) {
	fmt.Fprint(w, "\n### How it grows\n\n")
	head(w, "N", "ops/s", "heap and stacks", "bytes for each of N")
	for _, step := range s.Steps {
		row(w, validate.Number(float64(step.N)), validate.Number(step.Throughput), size(&step.Memory),
			validate.Number(float64(step.Memory)/float64(step.N)))
	}
	if s.Cut != "" {
		fmt.Fprintf(w, "\nCut: %s.\n", s.Cut)
	}
	fmt.Fprintf(w, "\nTime grows as N^%s, memory as N^%s.\n\n", exponent(s.TimeExponent), exponent(s.MemoryExponent))
	head(w, "processors", "ops/s")
	for _, step := range s.Processors {
		row(w, fmt.Sprint(step.Processors), validate.Number(step.Throughput))
	}
	if u := s.USL; u != nil {
		fmt.Fprintf(w, "\nUniversal Scalability Law: λ = %s ops/s, σ = %.4f, κ = %.6f.\n", validate.Number(u.Lambda), u.Sigma, u.Kappa)
	} else {
		fmt.Fprint(w, "\nUniversal Scalability Law: not measured, a fit needs three numbers of processors.\n")
	}
}

func exponent(e *float64) string {
	if e == nil {
		return "(not measured)"
	}
	return fmt.Sprintf("%.2f", *e)
}
