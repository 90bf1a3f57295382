//go:build unix

package explore

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endlessTest explores for longer than anybody waits. It says by which process.
const endlessTest = `package yours

import (
	"os"
	"strconv"
	"testing"
	"time"

	"tensile/stress/explore"
)

func endless(t *testing.T, f func(e *explore.Run)) {
	if explore.Serving() {
		name := os.Getenv("PROCESS")
		if err := os.WriteFile(name+".new", []byte(strconv.Itoa(os.Getpid())), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	explore.Test(t, f, explore.Schedules(1<<30))
}

func TestSchedules(t *testing.T) {
	endless(t, func(e *explore.Run) {
		e.Go("sleeper", func() { time.Sleep(time.Second) })
		e.Wait()
	})
}

func TestSpin(t *testing.T) {
	endless(t, func(e *explore.Run) {
		for {
		}
	})
}
`

// TestInterruptKey: Ctrl-C in a terminal is told to the go command and to the test that it
// runs. The process that runs the schedules ends with them, also where one of its goroutines
// never comes to a point.
func TestInterruptKey(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a binary")
	}
	if _, err := ownTree(); err != nil {
		t.Skip(err)
	}
	folder, _ := usersModule(t)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "yours_test.go"), []byte(endlessTest), 0o666))
	for _, name := range []string{"TestSchedules", "TestSpin"} {
		t.Run(name, func(t *testing.T) {
			process := filepath.Join(t.TempDir(), "process")
			var said bytes.Buffer
			cmd := exec.Command("go", "test", "-count=1", "-run", name, ".")
			cmd.Dir = folder
			cmd.Env = append(os.Environ(), "GOFLAGS=", "PROCESS="+process)
			cmd.Stdout, cmd.Stderr = &said, &said
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell does
			require.NoError(t, cmd.Start())
			var pid int
			const atLast = 5 * time.Minute // it may have to build
			require.Eventually(t, func() bool {
				text, err := os.ReadFile(process)
				if err == nil {
					pid, err = strconv.Atoi(string(text))
				}
				return err == nil
			}, atLast, 10*time.Millisecond, "no schedule is run")
			time.Sleep(100 * time.Millisecond) // so that it is at it
			pressed := time.Now()
			require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
			_ = cmd.Wait() // it was interrupted
			gone := func() bool {
				text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
				return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(text), ") Z ") // not yet waited for
			}
			assert.Eventually(t, gone, time.Minute, 5*time.Millisecond, "the process is left behind")
			t.Logf("after %v no process is left", time.Since(pressed).Round(time.Millisecond))
			if !gone() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}
