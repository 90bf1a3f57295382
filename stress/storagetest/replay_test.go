package storagetest_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/proc"
	"tensile/stress/storagetest"
)

// TestReplay: STRESS_CUT repeats a finding, whether it took one cut, a second one during a
// recovery, a read that failed, or none. Once what opens the state is mended, nothing is found.
func TestReplay(t *testing.T) {
	for fault, want := range map[string]struct {
		kind   string
		mended bool // the fault is in what opens, and not in what wrote
	}{
		"no sync of the file":         {"lost", false},
		"zeros are a record":          {"in part", true},
		"a torn file is written anew": {"lost", false},
		"reads nothing if it can not": {"lost", true},
		"does not close":              {"refused", true},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Setenv("STRESS_OUT", t.TempDir())
			try := func(fault string) storagetest.Outcome {
				return storagetest.TryLog(t, func(dir string) (storagetest.Log, error) {
					l, err := openLog(dir, fault)
					switch {
					case fault == "does not close":
						return unclosed{l}, err
					case fault == "reads nothing if it can not" && err != nil:
						return new(empty), nil
					}
					return l, err
				}, storagetest.Options{States: faultyStates})
			}
			found := try(fault)
			if !proc.IsChild() {
				if found.NotOffered != "" {
					t.Skip(found)
				}
				require.Equal(t, want.kind, found.Kind, "%s", found.Report)
				for _, name := range []string{"left", "finding.txt", "finding.json"} {
					_, err := os.Stat(filepath.Join(found.Saved, name))
					assert.NoError(t, err)
				}
				t.Setenv("STRESS_CUT", found.Saved)
			}
			again, sound := try(fault), try("")
			if !proc.IsChild() {
				assert.Equal(t, found.Kind, again.Kind)
				assert.Equal(t, found.Report, again.Report)
				if want.mended {
					assert.Empty(t, sound.Kind, "%s", sound.Report)
				}
			}
		})
	}
}

// unclosed says that it was not closed.
type unclosed struct{ storagetest.Log }

func (l unclosed) Close() error { return errors.Join(l.Log.Close(), errors.New("still open")) }

// empty is a log that holds nothing and takes nothing.
type empty struct{}

func (empty) Append([]byte) error        { return errors.New("it can not be written") }
func (empty) Records() ([][]byte, error) { return nil, nil }
func (empty) Close() error               { return nil }
