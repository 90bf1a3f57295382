package engines

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress"
	"tensile/stress/internal/settings"
	"tensile/stress/pooltest"
	"tensile/stress/report"
	"tensile/stress/sessiontest"
	"tensile/stress/validate"
)

// subjectVariable names the subject that a re-executed test binary takes through
// its kit, and serverVariable says where its server is.
const (
	subjectVariable = "ENGINES_SUBJECT"
	serverVariable  = "ENGINES_SERVER"
)

var server = os.Getenv(serverVariable)

// variables are those of this module.
var variables = []settings.Variable[string]{
	settings.URL("STRESS_POSTGRES_URL", func(yours *string, url string) { *yours = url }, "postgres", "postgresql"),
}

func TestMain(m *testing.M) { stress.Main(m) }

// subjects are each taken through a kit.
var subjects = map[string]func(*testing.T){
	"pgxpool":             func(t *testing.T) { pooltest.TestPool(t, openPgxpool) },
	"database/sql":        func(t *testing.T) { pooltest.TestPool(t, openSQL) },
	"go-redis":            func(t *testing.T) { pooltest.TestPool(t, openRedis) },
	"PostgreSQL sessions": func(t *testing.T) { sessiontest.TestStore(t, openPgSessions) },
}

// TestSubject takes the subject that a parent asks for through its kit, which may
// execute this test again for processes of its own.
func TestSubject(t *testing.T) {
	test, ok := subjects[os.Getenv(subjectVariable)]
	if !ok {
		t.Skip("runs in the processes of the other tests")
	}
	test(t)
}

// sound takes a subject through its kit, in a process of its own, where it must
// hold in everything but figures in time: a round trip through a database is not
// an echo. What it does not pass though its documentation does not promise it is
// named by exceptions, with the reason.
func sound(t *testing.T, subject, at string, exceptions map[string]string) {
	t.Helper()
	out := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestSubject$", "-test.v")
	child.Env = append(os.Environ(), subjectVariable+"="+subject, serverVariable+"="+at,
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
				t.Logf("%s: %s (%s)", subject, c, why)
			case c.InTime():
				t.Logf("%s: %s", subject, c)
			default:
				t.Errorf("%s: %s\n%s", subject, c, said)
			}
			expected++
		}
		if len(exceptions) == 0 {
			assert.Len(t, s.Failures, expected, "%q", s.Failures)
		}
		for _, c := range s.Checks {
			if c.ID == s.ID+".throughput" || c.Verdict == validate.NotOffered {
				t.Logf("%s: %s", subject, c)
			}
		}
	}
}
