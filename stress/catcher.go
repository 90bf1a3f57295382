package stress

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// catcher is a testing.TB whose failures are kept instead of failing the test:
// for what a subject may refuse. It belongs to one goroutine.
type catcher struct {
	testing.TB
	failed bool
	said   string
}

func (c *catcher) say(text string) {
	c.failed = true
	c.said = strings.TrimSpace(c.said + "\n" + text)
}

func (c *catcher) Error(args ...any)                 { c.say(fmt.Sprint(args...)) }
func (c *catcher) Errorf(format string, args ...any) { c.say(fmt.Sprintf(format, args...)) }
func (c *catcher) Fail()                             { c.failed = true }
func (c *catcher) Failed() bool                      { return c.failed }

func (c *catcher) FailNow() {
	c.failed = true
	runtime.Goexit()
}

func (c *catcher) Fatal(args ...any) {
	c.Error(args...)
	c.FailNow()
}

func (c *catcher) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	c.FailNow()
}
