package scenario

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Catcher is a testing.TB whose failures are kept instead of failing the test:
// for what a subject may refuse. It belongs to one goroutine.
type Catcher struct {
	testing.TB
	failed bool
	Said   string
}

func (c *Catcher) Say(text string) {
	c.failed = true
	c.Said = strings.TrimSpace(c.Said + "\n" + text)
}

func (c *Catcher) Error(args ...any)                 { c.Say(fmt.Sprint(args...)) }
func (c *Catcher) Errorf(format string, args ...any) { c.Say(fmt.Sprintf(format, args...)) }
func (c *Catcher) Fail()                             { c.failed = true }
func (c *Catcher) Failed() bool                      { return c.failed }

func (c *Catcher) FailNow() {
	c.failed = true
	runtime.Goexit()
}

func (c *Catcher) Fatal(args ...any) {
	c.Error(args...)
	c.FailNow()
}

func (c *Catcher) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	c.FailNow()
}
