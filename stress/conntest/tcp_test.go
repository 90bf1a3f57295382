package conntest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// plantedFault names the fault that this test binary, executed again, has in its servers
// over TCP.
const plantedFault = "TENSILE_PLANTED"

// everyPlant has the tests run that want the machine to themselves.
const everyPlant = "TENSILE_EVERY_PLANT"

// TestFaultyServer is the kit over the server with the fault that is named.
func TestFaultyServer(t *testing.T) {
	fault, planted := os.LookupEnv(plantedFault)
	if !planted {
		t.Skip("no fault is planted")
	}
	TestServer(t, func(_ testing.TB, cfg Config) Server {
		if cfg != (Config{Network: networkTCP}) {
			return nil
		}
		return newFaulty(fault)
	})
}

// faultyRun takes a server with a fault through the kit.
func faultyRun(t *testing.T, fault string) (said string, err error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestFaultyServer$", "-test.short", "-test.failfast")
	cmd.Env = append(os.Environ(), plantedFault+"="+fault, "STRESS_SCALE=100", "STRESS_HOLD=1s", "STRESS_PATIENCE=2s",
		"STRESS_OUT="+t.TempDir())
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// TestFaultsOverTCP plants faults of which most need what only a real connection has.
func TestFaultsOverTCP(t *testing.T) {
	if os.Getenv(everyPlant) == "" {
		t.Skip("make planted: each fault takes processes of its own, with bounds in time")
	}
	for _, f := range []struct{ fault, says string }{
		{answersOneARead, "memory.fragments: "},
		{takesPiece, "requests that came in pieces"},
		{flushesLate, "memory.fragments: "},
		{countsFromFirst, "without a request"},
		{leavesSilent, "without a request"},
		{leavesUnwritable, "descriptors have stayed"},
		{leavesInRequest, "in the middle of "},
		{keepsResets, "goroutines have stayed"},
		{remembersResets, "memory.slope: "},
		{waitsForPart, "Close has not returned"},
		{waitsForReader, "Close has not returned"},
		{keepsState, "memory.stale: "},
		{sharesFrame, "request"}, // in whatever phase two meet first
		{answersTwice, "requests that came in pieces"},
		{dropsAtHalf, "has closed its half"},
		{ignoresHalf, "callers hung up"},
		{leavesPoller, "anon_inode:[eventpoll]"},
	} {
		t.Run(f.fault, func(t *testing.T) {
			if testing.Short() { // and what there is can be listed
				t.Skip("takes processes of its own")
			}
			said, err := faultyRun(t, f.fault)
			assert.Error(t, err)
			assert.Contains(t, first(said), f.says, said)
		})
	}
}

// first is the first sentence that the kit says of a fault.
func first(said string) string {
	_, after, _ := strings.Cut(said, "memory")
	line, _, _ := strings.Cut(after, "\n")
	return "memory" + line
}

// TestSoundOverTCP is the kit over the same server without a fault.
func TestSoundOverTCP(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes processes of its own")
	}
	said, err := faultyRun(t, "")
	assert.NoError(t, err, said)
}
