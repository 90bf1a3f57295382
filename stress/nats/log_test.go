package nats

import (
	"fmt"
	"strings"
	"sync"
)

// log keeps what a server complains of, as that is how it tells why it has not
// become what it was to be.
type log struct {
	mu    sync.Mutex
	lines []string
	once  sync.Once
	fatal chan struct{} // closed by the first complaint that ends it
}

func (l *log) keep(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 100
	if len(l.lines) < most {
		l.lines = append(l.lines, fmt.Sprintf(format, args...))
	}
}

func (l *log) Errorf(format string, args ...any) { l.keep(format, args...) }
func (l *log) Warnf(format string, args ...any)  { l.keep(format, args...) }

func (l *log) Fatalf(format string, args ...any) {
	l.keep(format, args...)
	l.once.Do(func() { close(l.fatal) })
}

func (l *log) Noticef(string, ...any) {}
func (l *log) Debugf(string, ...any)  {}
func (l *log) Tracef(string, ...any)  {}

// has tells whether a complaint has these words in it.
func (l *log) has(words string) bool { return strings.Contains(l.String(), words) }

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "; ")
}
