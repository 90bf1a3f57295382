package museum

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exhibit is a bug that a library had.
type exhibit struct {
	name   string
	module string // go.mod requires the version in which it is fixed
	broken string // the version that has it
	bug    string
	report string // where it was made public
	kit    func(t *testing.T)
	rate   string // of the steady run: far below what the library can do
	says   string // by what the kit names it
}

// tries is how often the kit may be run on a broken version until it names the
// bug: some occur only at one instant, and another may occur first.
const tries = 3

const (
	pools   = "STRESS_RATE=5000"
	routers = "STRESS_RATE=100000"
)

var exhibits = []exhibit{
	{
		name: "redigo", module: "github.com/gomodule/redigo", broken: "v1.8.2", kit: redigo, rate: pools,
		bug:    "If a caller's context ends at the moment it is served, its place is never freed: the pool shrinks.",
		report: "https://github.com/gomodule/redigo/issues/520",
		says:   "pooling.deadline: after waiters gave up a pool of 2 lends only 1: capacity has leaked",
	},
	{
		name: "puddle, cancelled", module: "github.com/jackc/puddle", broken: "v1.0.0", kit: puddle1, rate: pools,
		bug:    "If a waiter is woken at the moment its context ends, it keeps the lock: the pool is deadlocked.",
		report: "https://github.com/jackc/puddle/pull/2",
		says:   "pooling: deadline hangs: the subject does not return even though its context has ended",
	},
	{
		name: "puddle, failed dial", module: "github.com/jackc/puddle", broken: "v1.1.2", kit: puddle1, rate: pools,
		bug:    "A failed dial does not wake a waiter, although there is room again: the waiter waits forever.",
		report: "https://github.com/jackc/puddle/pull/7",
		says:   "was not served after the dial of another had failed",
	},
	{
		name: "puddle v2, failed dial", module: "github.com/jackc/puddle/v2", broken: "v2.0.0", kit: puddle2, rate: pools,
		bug:    "If a dial fails after its caller has given up, its result is sent to nobody while the lock is held.",
		report: "https://github.com/jackc/pgx/issues/1354",
		says:   "pooling.served: the pool has answered nobody for 10s, since a dial failed whose caller had given up",
	},
	{
		name: "hashmap", module: "github.com/cornelk/hashmap", broken: "v1.0.1", kit: hashmapNames, rate: routers,
		bug:    "An entry that is stored while the map grows is lost: a registered name is unknown.",
		report: "https://github.com/cornelk/hashmap/issues/54",
		says:   "which is registered, returned unknown name",
	},
	{
		name: "pond", module: "github.com/alitto/pond/v2", broken: "v2.3.1", kit: pondTasks, rate: routers,
		bug: "Only callers that already wait are told of room in the queue. A caller that is about to wait misses it, " +
			"and waits forever.",
		report: "https://github.com/alitto/pond/issues/108",
		says:   "not return",
	},
	{
		name: "ants", module: "github.com/panjf2000/ants/v2", broken: "v2.4.3", kit: antsTasks, rate: routers,
		bug:    "A worker that dies of a panic does not wake the callers that wait for a worker.",
		report: "https://github.com/panjf2000/ants/issues/146",
		says:   "routing.panic: after 1 handlers had panicked 63 of 64 other names got nothing",
	},
}

// exhibitVariable names the exhibit whose kit a child process runs.
const exhibitVariable = "TENSILE_EXHIBIT"

// TestExhibit is what child processes run.
func TestExhibit(t *testing.T) {
	name := os.Getenv(exhibitVariable)
	for _, e := range exhibits {
		if e.name == name {
			e.kit(t)
			return
		}
	}
	t.Skip("run by TestMuseum")
}

func TestMuseum(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program for each exhibit")
	}
	t.Run("fixed", func(t *testing.T) {
		for _, e := range exhibits {
			t.Run(e.name, func(t *testing.T) {
				out, err := e.run(t, os.Args[0])
				assert.NoError(t, err, "%s", out)
			})
		}
	})
	t.Run("broken", func(t *testing.T) {
		for _, e := range exhibits {
			t.Run(e.name+" "+e.broken, func(t *testing.T) {
				program := e.build(t)
				t.Parallel() // most of them hang, which takes time and nothing else
				t.Log(e.bug, e.report)
				var out []byte
				var err error
				for range tries {
					if out, err = e.run(t, program); strings.Contains(string(out), e.says) {
						break
					}
				}
				assert.Error(t, err, "the kit passed")
				assert.Contains(t, string(out), e.says)
			})
		}
	})
}

// TestEveryExhibitIsInTheCatalogue keeps README.md complete.
func TestEveryExhibitIsInTheCatalogue(t *testing.T) {
	catalogue, err := os.ReadFile("README.md")
	require.NoError(t, err)
	required, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	for _, e := range exhibits {
		_, rest, ok := strings.Cut(string(required), e.module+" ")
		require.True(t, ok, "go.mod does not require %s", e.module)
		fixed := strings.Fields(rest)[0]
		assert.Contains(t, string(catalogue), fmt.Sprintf("| `%s` | %s | %s | %s | %s | [report](%s) |",
			e.module, e.broken, fixed, e.bug, e.says, e.report))
	}
}

// run has a program run the kit of the exhibit.
func (e exhibit) run(t *testing.T, program string) ([]byte, error) {
	// Exhibits are explored by tests of their own, and one has a single worker, which
	// handlers that wait hold up.
	child := exec.Command(program, "-test.run=^TestExhibit$", "-test.skip=/^explore$", "-test.v")
	child.Env = append(os.Environ(), "GITHUB_ACTIONS=", "GITHUB_STEP_SUMMARY=",
		exhibitVariable+"="+e.name, "STRESS_SCALE=10000", e.rate, "STRESS_OUT="+t.TempDir())
	return child.CombinedOutput()
}

// build builds the tests of this package with the version that has the bug, and
// returns the program.
func (e exhibit) build(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "museum.test")
	args := append(append([]string{"test", "-c"}, strings.Fields(e.flags(t))...), "-o", program, ".")
	out, err := exec.Command("go", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// flags are those by which the go command takes the version that has the bug.
// broken.sum pins all those versions.
func (e exhibit) flags(t *testing.T) string {
	work := t.TempDir()
	read := func(name string) []byte {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return text
	}
	mod := filepath.Join(work, "go.mod")
	require.NoError(t, os.WriteFile(mod, read("go.mod"), 0o666))
	require.NoError(t, os.WriteFile(filepath.Join(work, "go.sum"),
		bytes.Join([][]byte{read("go.sum"), read("broken.sum")}, nil), 0o666))
	out, err := exec.Command("go", "mod", "edit", "-require="+e.module+"@"+e.broken, mod).CombinedOutput()
	require.NoError(t, err, "%s", out)
	flags := "-mod=mod -modfile=" + mod
	if e.name == "hashmap" {
		flags += " -tags=broken" // the library had another interface then
	}
	return flags
}
