package stress

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
	load    *offered

	// what the last line said, for the rate
	lastDone int
	lastAt   time.Time
}

// offered is a load under way.
type offered struct {
	total    int
	done     func() int
	inFlight func() int // nil where it is not counted
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

// phase begins a phase.
func (p *progress) phase(label string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.label, p.began, p.load = label, time.Now(), nil
}

// end ends the phase and takes its line away.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.label = ""
	p.mu.Unlock()
	p.console.done()
}

// follow shows a load in the present phase until the next one.
func (p *progress) follow(o offered) {
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
		done := l.done()
		parts = append(parts, fmt.Sprintf("%s of %s", validate.Number(float64(done)), validate.Number(float64(l.total))))
		rate := float64(done-p.lastDone) / now.Sub(p.lastAt).Seconds()
		p.lastDone, p.lastAt = done, now
		if rate > 0 {
			parts = append(parts, validate.Number(rate)+"/s")
		}
		if l.inFlight != nil {
			parts = append(parts, validate.Number(float64(l.inFlight()))+" in flight")
		}
		if rate > 0 && done < l.total {
			left := time.Duration(float64(l.total-done) / rate * float64(time.Second))
			parts = append(parts, fmt.Sprintf("%.1f s left", left.Seconds()))
		}
	}
	parts = append(parts, fmt.Sprintf("%.1f s", now.Sub(p.began).Seconds()))
	return strings.Join(parts, "  ")
}
