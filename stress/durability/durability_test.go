package durability

import (
	"fmt"
	"os"
	"testing"
	"time"

	"tensile/stress/storagetest"
)

// each runs a subject on each file system by itself, on a store that was there before, once on all
// of them from an empty folder on, and once where calls fail too, on the one on which the power alone does
// least. What is found is reported and is no
// failure: it is what is asked.
func each(t *testing.T, states int, try func(t *testing.T, o storagetest.Options) storagetest.Outcome) {
	if testing.Short() {
		states /= 6
	}
	run := func(name string, o storagetest.Options) {
		t.Run(name, func(t *testing.T) {
			o.States, o.Within = states, 3*time.Minute
			if !o.PowerOnly {
				o.States *= 4
			}
			out := try(t, o)
			verdict := "nothing found"
			if out.Kind != "" {
				verdict = fmt.Sprintf("%s (%s)", out.Kind, out.FileSystem)
			}
			t.Logf("%s: %v\n%s", verdict, out, out.Report)
			note(t, fmt.Sprintf("%s: %s: %v", t.Name(), verdict, out))
		})
	}
	for _, fs := range []storagetest.FileSystem{
		storagetest.Ext4Ordered, storagetest.Ext4, storagetest.XFS, storagetest.POSIX,
	} {
		run(string(fs), storagetest.Options{FileSystems: []storagetest.FileSystem{fs}, PowerOnly: true})
	}
	run("from nothing", storagetest.Options{FromNothing: true, PowerOnly: true})
	run("calls fail", storagetest.Options{FileSystems: []storagetest.FileSystem{storagetest.Ext4Ordered}})
}

// note adds a line to the file that DURABILITY_TABLE names.
func note(t *testing.T, line string) {
	name := os.Getenv("DURABILITY_TABLE")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func stores(t *testing.T, open func(dir string) (storagetest.Store, error)) {
	each(t, 1_200, func(t *testing.T, o storagetest.Options) storagetest.Outcome {
		return storagetest.TryStore(t, open, o)
	})
}

func TestBbolt(t *testing.T)     { stores(t, openBolt) }
func TestPebble(t *testing.T)    { stores(t, openPebble) }
func TestGoleveldb(t *testing.T) { stores(t, openLevel) }
func TestBadger(t *testing.T)    { stores(t, openBadger) }

func TestSQLite(t *testing.T) { stores(t, openSQLite("")) }

func TestSQLiteWAL(t *testing.T) {
	stores(t, openSQLite("?_pragma=journal_mode(wal)"))
}

func TestTidwall(t *testing.T) {
	each(t, 1_200, func(t *testing.T, o storagetest.Options) storagetest.Outcome {
		return storagetest.TryLog(t, openTidwall, o)
	})
}

func TestJetStream(t *testing.T) {
	each(t, 240, func(t *testing.T, o storagetest.Options) storagetest.Outcome {
		return storagetest.TryLog(t, openJetStream(false), o)
	})
}

func TestJetStreamSyncAlways(t *testing.T) {
	each(t, 1_200, func(t *testing.T, o storagetest.Options) storagetest.Outcome {
		return storagetest.TryLog(t, openJetStream(true), o)
	})
}

// TestBboltIsSound is what must hold: bbolt with its defaults, if the power fails and nothing else does.
func TestBboltIsSound(t *testing.T) {
	storagetest.TestStore(t, openBolt, storagetest.Options{States: 1_200, PowerOnly: true})
}
