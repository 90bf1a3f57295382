package stress

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
type console struct {
	mu  sync.Mutex
	out io.Writer
}

func newConsole() *console {
	if !testing.Verbose() {
		if parent := parentStderr(); parent != nil {
			return &console{out: parent}
		}
	}
	return &console{out: os.Stdout}
}

func (c *console) printf(format string, args ...any) {
	c.print(func() { fmt.Fprintf(c.out, format+"\n", args...) })
}

func (c *console) print(write func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	write()
}
