package run

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"tensile/stress/validate"
)

// progress shows on the terminal how far the present phase has come.
type progress struct {
	console *console
	mu      sync.Mutex
	label   string // scenario and phase; "" between phases
	began   time.Time
	load    *Offered

	// what the last line said, for the rate
	lastDone int
	lastAt   time.Time
}

// Offered is a load under way.
type Offered struct {
	Total    int
	Done     func() int
	InFlight func() int // nil if it is not counted
}

const progressEvery = 200 * time.Millisecond

// newProgress returns nil, all of whose methods do nothing, where there is no
// terminal. Its goroutine lives as long as the process.
func newProgress(c *console) *progress {
	if c.terminal == nil {
		return nil
	}
	p := &progress{console: c}
	go func() {
		for now := range time.Tick(progressEvery) {
			if line := p.line(now); line != "" {
				c.progress(line)
			}
		}
	}()
	return p
}

// Phase begins a phase.
func (p *progress) Phase(label string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.began, p.load = label, time.Now(), nil
}

// End ends the phase and takes its line away.
func (p *progress) End() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.label = ""
	p.mu.Unlock()
	p.console.done()
}

// Follow shows a load in the present phase until the next one.
func (p *progress) Follow(o Offered) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load, p.lastDone, p.lastAt = &o, 0, time.Now()
}

func (p *progress) line(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.label == "" {
		return ""
	}
	parts := []string{p.label}
	if l := p.load; l != nil {
		done := l.Done()
		parts = append(parts, fmt.Sprintf("%s of %s", validate.Number(float64(done)), validate.Number(float64(l.Total))))
		rate := float64(done-p.lastDone) / now.Sub(p.lastAt).Seconds()
		p.lastDone, p.lastAt = done, now
		if rate > 0 {
			parts = append(parts, validate.Number(rate)+"/s")
		}
		if l.InFlight != nil {
			parts = append(parts, validate.Number(float64(l.InFlight()))+" in flight")
		}
		if rate > 0 && done < l.Total {
			left := time.Duration(float64(l.Total-done) / rate * float64(time.Second))
			parts = append(parts, fmt.Sprintf("%.1f s left", left.Seconds()))
		}
	}
	parts = append(parts, fmt.Sprintf("%.1f s", now.Sub(p.began).Seconds()))
	return strings.Join(parts, "  ")
}
