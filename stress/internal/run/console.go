package run

import (
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
)

// console is where the lines for people go. Under "go test ./..." the output of
// a package that passes is thrown away; so that a line is seen when a scenario
// ends, it goes to the standard error of the go command itself, where that can
// be had.
//
// Above that there is one line that changes: how far a phase has come. Under go
// test no output is a terminal, so it goes to the controlling terminal; there is
// none in CI.
type console struct {
	mu       sync.Mutex
	out      io.Writer
	terminal *os.File // nil for no progress
	shown    bool     // the line of progress is on the terminal
}

func newConsole() *console {
	c := &console{out: os.Stdout}
	if !testing.Verbose() {
		if parent := parentStderr(); parent != nil {
			c.out = parent
		}
	}
	if os.Getenv("CI") == "" {
		if terminal, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
			c.terminal = terminal
		}
	}
	return c
}

func (c *console) Printf(format string, args ...any) {
	c.print(func() { fmt.Fprintf(c.out, format+"\n", args...) })
}

func (c *console) print(write func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wipe()
	write()
}

// progress replaces the line of progress, cut to the width of the terminal.
func (c *console) progress(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if runes := []rune(line); len(runes) >= columnsOf(c.terminal) {
		line = string(runes[:columnsOf(c.terminal)-1])
	}
	c.wipe()
	fmt.Fprint(c.terminal, line)
	c.shown = true
}

// done takes the line of progress away.
func (c *console) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wipe()
}

// wipe empties the present line: to its beginning, and clear to its end.
func (c *console) wipe() {
	if c.shown {
		fmt.Fprint(c.terminal, "\r\x1b[K")
		c.shown = false
	}
}
