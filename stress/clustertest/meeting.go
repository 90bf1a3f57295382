package clustertest

import (
	"context"
	"sync"
)

// meeting has all acts of a stage begin at the same instant, and knows when they have
// ended. Acts are expected before any of them comes.
type meeting struct {
	mu                   sync.Mutex
	expected, here, over int
	all                  chan struct{}
}

func (m *meeting) expect() {
	if m.expected == 0 {
		m.all = make(chan struct{})
	}
	m.expected++
}

// come waits for the others.
func (m *meeting) come(ctx context.Context) {
	m.mu.Lock()
	if m.here++; m.here == m.expected {
		close(m.all)
	}
	m.mu.Unlock()
	select {
	case <-m.all:
	case <-ctx.Done():
	}
}

func (m *meeting) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over++
}

// ended tells whether all acts have, and then expects none.
func (m *meeting) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over < m.expected {
		return false
	}
	m.expected, m.here, m.over = 0, 0, 0
	return true
}
