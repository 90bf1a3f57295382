package stress_test

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/proc"
	"tensile/stress/report"
)

// spinVariable has a re-executed test binary keep every processor busy from
// within, while the kit is at work.
const spinVariable = "TENSILE_SPIN"

const burnerRole = "burner"

func init() {
	proc.Handle(burnerRole, func(l *proc.Link) error {
		spin()
		return proc.Serve(l, func(json.RawMessage) (any, error) { return nil, nil })
	})
	// The nodes of a kit are other processes: these are not to spin as well.
	if os.Getenv(spinVariable) != "" && !proc.IsChild() {
		spin()
	}
}

// spin keeps every processor busy until the process ends.
func spin() {
	for range runtime.NumCPU() {
		go func() {
			for i := 0; ; i++ {
				spun = i
			}
		}()
	}
}

var spun int // written without order: nobody reads it

// TestSoundSubjectsPassOnABusyMachine shows that the kits blame no subject for
// the work of others, in other processes or in the same one.
func TestSoundSubjectsPassOnABusyMachine(t *testing.T) {
	unhurried(t)
	if testing.Short() {
		t.Skip("every kit is run twice beside other work")
	}
	for _, c := range []struct{ name, env, kits string }{
		{"other processes", spinVariable + "=", "TestStress.*"},
		// Of those that have their subjects in this process.
		{"goroutines of the same process", spinVariable + "=1", "TestStress(Pool|Router|Queue|Connections|Balancer|Chaos)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env == spinVariable+"=" {
				burner, err := proc.Start(burnerRole, nil)
				require.NoError(t, err)
				defer func() { assert.NoError(t, burner.Close()) }()
			}
			out := t.TempDir()
			said, err := runKitWith(unexplored, c.kits, c.env, "STRESS_SCALE=2000", "STRESS_HOLD=1s", "STRESS_OUT="+out,
				targetsVariable+"="+os.Getenv(targetsVariable))
			assert.NoError(t, err, said)
			r, err := report.Load(out)
			require.NoError(t, err)
			for _, s := range r.Scenarios {
				if s.State == report.NotRun {
					continue
				}
				require.NotNil(t, s.Share, s.ID)
				t.Logf("%s: other work left %.0f %%", s.ID, 100**s.Share)
				assert.Less(t, *s.Share, 0.8, "%s: the other work was not seen", s.ID)
			}
		})
	}
}
