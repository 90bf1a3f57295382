package proc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/proc"
)

// The role of TestDiesWithItsParent: a child with a child of its own.
const familyRole = "family"

// programRole is a child that starts a program which outlives it.
const programRole = "program"

func init() {
	proc.Handle("sleeper", func(l *proc.Link) error { return proc.Serve[json.RawMessage](l, nil) })
	proc.Handle(programRole, func(l *proc.Link) error {
		program := exec.Command("sleep", "60")
		var holds bool
		if err := l.Config(&holds); err != nil {
			return err
		}
		if holds { // as one does that was started before this package had a say
			program.ExtraFiles = []*os.File{os.NewFile(3, "requests"), os.NewFile(4, "replies")}
		}
		if err := program.Start(); err != nil {
			return err
		}
		return proc.Serve(l, func(json.RawMessage) (any, error) { return program.Process.Pid, nil })
	})
	proc.Handle(familyRole, func(l *proc.Link) error {
		child, err := proc.Start("sleeper", nil)
		if err != nil {
			return err
		}
		return proc.Serve(l, func(json.RawMessage) (any, error) { return child.Pid(), nil })
	})
}

// answerer is what the children of the tests do.
func answerer(subject string) func(*proc.Link) error {
	return func(l *proc.Link) error {
		var greeting string
		if err := l.Config(&greeting); err != nil {
			return err
		}
		fmt.Println(greeting, "from", subject)
		if err := l.Emit(greeting); err != nil {
			return err
		}
		return proc.Serve(l, func(question string) (any, error) {
			switch question {
			case "fail":
				return nil, errors.New("asked to fail")
			case "hang":
				select {}
			}
			return subject + " hears " + question, nil
		})
	}
}

func TestTheSameCallFindsItselfToBeTheChild(t *testing.T) {
	for _, subject := range []string{"first", "second [of two]"} {
		t.Run(subject, func(t *testing.T) {
			// Two sites in one test: a child must not take up the wrong one.
			for round := range 2 {
				site := proc.At(t, "answerer")
				if site.Child() {
					site.Serve(answerer(fmt.Sprint(subject, round)))
					continue
				}
				output, err := os.Create(t.TempDir() + "/log")
				require.NoError(t, err)
				events := make(chan string, 1)
				p, err := site.Start("hello", proc.Options{Output: output, OnEvent: func(body json.RawMessage) {
					events <- string(body)
				}})
				require.NoError(t, err)
				ctx := t.Context()
				assert.Equal(t, `"hello"`, <-events)

				hanging, stop := context.WithCancel(ctx)
				hangs := make(chan error)
				go func() { hangs <- p.Ask(hanging, "hang", nil) }()
				var heard string
				require.NoError(t, p.Ask(ctx, "this", &heard), "one question must not wait for another")
				assert.Equal(t, fmt.Sprint(subject, round, " hears this"), heard)
				err = p.Ask(ctx, "fail", nil)
				assert.ErrorIs(t, err, proc.ErrChild)
				assert.ErrorContains(t, err, "asked to fail")
				stop()
				assert.ErrorIs(t, <-hangs, context.Canceled)

				assert.NoError(t, p.Close())
				assert.ErrorIs(t, p.Ask(ctx, "this", nil), proc.ErrEnded)
				text, err := os.ReadFile(output.Name())
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprintf("hello from %s%d\n", subject, round), string(text))
				assert.NoError(t, output.Close())
			}
		})
	}
}

func TestKilledWhileStopped(t *testing.T) {
	site := proc.At(t, "answerer")
	if site.Child() {
		site.Serve(answerer("stopped"))
		return
	}
	p, err := site.Start("hello", proc.Options{Output: devNull(t)})
	require.NoError(t, err)
	require.NoError(t, p.Signal(proc.Stop))
	waiting := make(chan error)
	go func() { waiting <- p.Ask(t.Context(), "this", nil) }()
	p.Kill()
	assert.ErrorIs(t, <-waiting, proc.ErrChild, "who waits for an answer is told")
	<-p.Ended()
	assert.ErrorContains(t, p.Close(), "killed")
}

func devNull(t *testing.T) *os.File {
	file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestDiesWithItsParent(t *testing.T) {
	family, err := proc.Start(familyRole, nil)
	require.NoError(t, err)
	var grandchild int
	require.NoError(t, family.Ask(t.Context(), nil, &grandchild))
	require.True(t, alive(grandchild))
	family.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for alive(grandchild) {
		select {
		case <-ctx.Done():
			t.Fatalf("process %d lives on after its parent", grandchild)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestAProgramOfAChildOutlivesIt, as a database does that a subject starts: whoever
// waits for the child does not wait for that.
func TestAProgramOfAChildOutlivesIt(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("descriptors are not seen here: ", err)
	}
	for _, holds := range []bool{false, true} {
		t.Run(fmt.Sprintf("holds the pipes: %t", holds), func(t *testing.T) {
			child, err := proc.Start(programRole, holds)
			require.NoError(t, err)
			var pid int
			require.NoError(t, child.Ask(t.Context(), nil, &pid))
			program, err := os.FindProcess(pid)
			require.NoError(t, err)
			t.Cleanup(func() { _ = program.Kill() })
			if !holds {
				for _, fd := range proc.Descriptors() {
					// The program may have opened a library under that number meanwhile.
					target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
					assert.NotContains(t, target, "pipe:", "descriptor %d of the child in its program", fd)
				}
			}
			child.Kill()
			assert.True(t, alive(pid), "the program still runs")
		})
	}
}

// alive tells whether a process is there and not merely waiting to be reaped.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func BenchmarkAsk(b *testing.B) {
	site := proc.At(b, "answerer")
	if site.Child() {
		site.Serve(answerer("benchmark"))
		return
	}
	output, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(b, err)
	p, err := site.Start("hello", proc.Options{Output: output})
	require.NoError(b, err)
	for b.Loop() {
		if err := p.Ask(b.Context(), "this", nil); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, p.Close())
	require.NoError(b, output.Close())
}
