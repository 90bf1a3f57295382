package engines

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// subjectVariable names the pool that a re-executed test binary takes through
// the kit, and serverVariable says where its server is.
const (
	subjectVariable = "ENGINES_SUBJECT"
	serverVariable  = "ENGINES_SERVER"
)

var server = os.Getenv(serverVariable)

// postgresURL is the user's. The kits know no setting of that name.
var postgresURL = func() string {
	const name = "STRESS_POSTGRES_URL"
	url := os.Getenv(name)
	_ = os.Unsetenv(name)
	return url
}()

func TestMain(m *testing.M) { stress.Main(m) }

var pools = map[string]func(testing.TB, stress.PoolConfig) stress.Pool{
	"pgxpool":      openPgxpool,
	"database/sql": openSQL,
	"go-redis":     openRedis,
}

// TestSubject takes the pool through the kit that a parent asks for.
func TestSubject(t *testing.T) {
	open, ok := pools[os.Getenv(subjectVariable)]
	if !ok {
		t.Skip("runs in the processes of the other tests")
	}
	stress.TestPool(t, open)
}

// sound takes a pool through the kit, in a process of its own, where it must hold
// in everything but figures in time: a round trip through a database is not an
// echo. What it does not pass though its documentation does not promise it is
// named by exceptions, with the reason.
func sound(t *testing.T, pool, at string, exceptions map[string]string) {
	t.Helper()
	out := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestSubject$", "-test.v")
	child.Env = append(os.Environ(), subjectVariable+"="+pool, serverVariable+"="+at,
		"GITHUB_ACTIONS=", "STRESS_SCALE=2000", "STRESS_OUT="+out)
	said, _ := child.CombinedOutput() // the report says it
	r, err := report.Load(out)
	require.NoError(t, err, "%s", said)
	require.Equal(t, 1, r.Totals.Scenarios, "%s", said)
	for _, s := range r.Scenarios {
		if s.State == report.NotRun {
			continue
		}
		expected := 0
		for _, c := range validate.FailedOf(s.Checks) {
			switch why, known := exceptions[c.ID]; {
			case known:
				t.Logf("%s: %s (%s)", pool, c, why)
			case c.Scaling == validate.WithShare:
				t.Logf("%s: %s", pool, c)
			default:
				t.Errorf("%s: %s\n%s", pool, c, said)
			}
			expected++
		}
		if len(exceptions) == 0 {
			assert.Len(t, s.Failures, expected, "%q", s.Failures)
		}
		for _, c := range s.Checks {
			if c.ID == "pooling.throughput" {
				t.Logf("%s: %s", pool, c)
			}
		}
	}
}
