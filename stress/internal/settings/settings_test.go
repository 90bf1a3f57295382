package settings

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/load"
)

func gigabytes(n int64) *int64 {
	n *= 1e9
	return &n
}

func TestDefaults(t *testing.T) {
	s, err := parse([]string{"HOME=/", "STRESS_SEED="}, Build{Root: "x"})
	require.NoError(t, err)
	assert.Equal(t, 100_000, s.Scale)
	assert.Equal(t, filepath.Join("x", "out"), s.Out)
	assert.Equal(t, 10*time.Second, s.Hold)
	assert.Equal(t, load.Constant, s.Arrivals)
	assert.Equal(t, 4, s.Nodes)
	assert.Equal(t, 10*time.Second, s.Patience)
	assert.Equal(t, 5*time.Second, s.Burn)
	assert.Empty(t, s.Notes)

	s, err = parse(nil, Build{Short: true})
	require.NoError(t, err)
	assert.Equal(t, 10_000, s.Scale)
	assert.Equal(t, 500*time.Millisecond, s.Burn)
	assert.Equal(t, time.Second, s.Hold)
}

func TestAccepted(t *testing.T) {
	for entry, want := range map[string]func(Settings) bool{
		"STRESS_SCALE=100_000":             func(s Settings) bool { return s.Scale == 100_000 },
		"STRESS_SCALE=2e5":                 func(s Settings) bool { return s.Scale == 200_000 },
		"STRESS_SCALE=1":                   func(s Settings) bool { return s.Scale == 1 },
		"STRESS_SEED=18446744073709551615": func(s Settings) bool { return s.Seed == 1<<64-1 },
		"STRESS_OUT=/a b":                  func(s Settings) bool { return s.Out == "/a b" },
		"STRESS_RATE=1500.5":               func(s Settings) bool { return s.Rate == 1500.5 },
		"STRESS_ARRIVALS=poisson":          func(s Settings) bool { return s.Arrivals == load.Poisson },
		"STRESS_HOLD=30s":                  func(s Settings) bool { return s.Hold == 30*time.Second },
		"STRESS_OUT=ci/out":                func(s Settings) bool { return s.Out == filepath.Join("root", "ci", "out") },
		"STRESS_BASELINE=last/results.json": func(s Settings) bool {
			return s.Baseline == filepath.Join("root", "last", "results.json")
		},
		"STRESS_NODES=16":       func(s Settings) bool { return s.Nodes == 16 },
		"STRESS_SCHEDULE=pos:7": func(Settings) bool { return true }, // read elsewhere
		"STRESS_PROGRAM=1.a.":   func(Settings) bool { return true },
		"STRESS_SCHEDULES=9":    func(Settings) bool { return true },
		"STRESS_HISTORIES=50":   func(s Settings) bool { return s.Histories == 50 },
		"STRESS_BURN=1m":        func(s Settings) bool { return s.Burn == time.Minute },
		"STRESS_PATIENCE=1m30s": func(s Settings) bool { return s.Patience == 90*time.Second },
		"STRESS_KILLS=200":      func(s Settings) bool { return s.Kills == 200 },
		"STRESS_ENGINE=memory":  func(s Settings) bool { return s.Engine == "memory" },
		"STRESS_ENGINE=nats":    func(s Settings) bool { return s.Engine == "nats" },
		"STRESS_TARGETS=pooling.throughput=2e4, sessions.p99=250": func(s Settings) bool {
			return s.Targets["pooling.throughput"] == 20_000 && s.Targets["sessions.p99"] == 250 && len(s.Notes) == 1
		},
		"STRESS_TARGETS=run.memory=800,memory.tcp_peak=900,chaos.memory=1e3": func(s Settings) bool {
			return s.Targets["run.memory"] == 800 && s.Targets["memory.tcp_peak"] == 900 && s.Targets["chaos.memory"] == 1000
		},
	} {
		s, err := parse([]string{entry}, Build{Root: "root", Engines: []string{"nats"}})
		if assert.NoError(t, err, entry) {
			assert.True(t, want(s), "%s gave %+v", entry, s)
		}
	}
}

func TestRejected(t *testing.T) {
	for _, c := range []struct{ entry, accepted string }{
		{"STRESS_SCALE=abc", "a whole number from 1"},
		{"STRESS_SCALE=0", "a whole number from 1"},
		{"STRESS_SCALE=-5", "a whole number from 1"},
		{"STRESS_SCALE=1.5", "a whole number from 1"},
		{"STRESS_SCALE=NaN", "a whole number from 1"},
		{"STRESS_SCALE=+Inf", "up to 5900000 would"},
		{"STRESS_SCALE=1e9", "up to 5900000 would"},
		{"STRESS_SEED=-1", "a whole number from 0"},
		{"STRESS_RATE=0", "above 0"},
		{"STRESS_RATE=NaN", "above 0"},
		{"STRESS_RATE=Inf", "above 0"},
		{"STRESS_ARRIVALS=fast", "constant or poisson"},
		{"STRESS_HOLD=10", "from 1s to 24h"},
		{"STRESS_HOLD=48h", "from 1s to 24h"},
		{"STRESS_PATIENCE=1", "from 1s to 1h"},
		{"STRESS_PATIENCE=999ms", "from 1s to 1h"},
		{"STRESS_PATIENCE=61m", "from 1s to 1h"},
		{"STRESS_KILLS=19", "from 20 to 100000"},
		{"STRESS_KILLS=many", "from 20 to 100000"},
		{"STRESS_ENGINE=kafka", "memory in this module"},
		{"STRESS_ENGINE=nats", "memory in this module"},
		{"STRESS_TARGETS=pooling.throughput", "pooling.throughput=20000,sessions.p99=250"},
		{"STRESS_TARGETS=pooling.throughput=0", "above 0"},
		{"STRESS_TARGETS=pooling.throughput=NaN", "above 0"},
		{"STRESS_TARGETS=pooling.p99=1,pooling.p99=2", "each once"},
		{"STRESS_TARGETS=pooling.crosstalk=1", "pooling.p99"},
		{"STRESS_TARGETS=run.leaks=1", "routing.memory"},
		{"STRESS_TARGETS=run.throughput=1", "each once and above 0, of formation.formed"},
		{"STRESS_REGRESSION=0", "above 0, such as 10%"},
		{"STRESS_REGRESSION=much", "above 0, such as 10%"},
		{"STRESS_REGRESSION=NaN%", "above 0, such as 10%"},
		{"STRESS_REGRESSION=10%", "together with STRESS_BASELINE"},
		{"STRESS_NODES=2", "from 3 to 16"},
		{"STRESS_NODES=17", "from 3 to 16"},
		{"STRESS_NODES=four", "from 3 to 16"},
		{"STRESS_SCHEDULE=7", "a schedule as a failure prints it"},
		{"STRESS_SCHEDULES=0", "a whole number from 1"},
		{"STRESS_HISTORIES=0", "from 1 to 10000"},
		{"STRESS_HISTORIES=many", "from 1 to 10000"},
		{"STRESS_BURN=60", "from 100ms to 24h"},
		{"STRESS_BURN=-1s", "from 100ms to 24h"},
		{"STRESS_SCAL=1", "must be STRESS_SCALE"},
		{"STRESS_SCAL=", "must be STRESS_SCALE"},
		{"STRESS_SCALIGN=1", "must be STRESS_SCALING"},
		{"STRESS_HISTORYS=1", "must be STRESS_HISTORIES"},
		{"STRESS_SEDE=1", "must be STRESS_SEED"},
		{"STRESS_OUT_DIR=x", "must be STRESS_OUT"},
		{"STRESS_SCHEDULED=x", "must be STRESS_SCHEDULE"},
	} {
		_, err := parse([]string{c.entry}, Build{Available: gigabytes(24)})
		if !assert.ErrorIs(t, err, ErrSetting, c.entry) {
			continue
		}
		name, value, _ := strings.Cut(c.entry, "=")
		assert.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, `"`+value+`"`)
		assert.ErrorContains(t, err, c.accepted)
	}
}

// TestOthersVariables are none of ours: of modules beside this one, and of others.
func TestOthersVariables(t *testing.T) {
	_, err := parse([]string{
		"STRESS_FOO=1", "STRESS_TEST=1", "STRESS_BAR=", "STRESS_X=1", "STRESS_ON=1", "STRESS_LEVEL=9", "STRESS_=",
		"STRESS_FLEET=x", "STRESS_FLEET_ROLE=x", "STRESS_FLEET_AGENTS=x", "STRESS_FLEET_NAME=x",
		"STRESS_NATS_URL=x", "STRESS_POSTGRES_URL=x", "MY_STRESS_SCAL=1",
	}, Build{})
	assert.NoError(t, err)
}

func TestEdits(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"seed", "seed", 0}, {"seed", "sede", 1}, {"scale", "scal", 1},
		{"kitten", "sitting", 3}, {"out", "cut", 1}, {"out", "cpu", 3},
	} {
		assert.Equal(t, c.want, edits(c.a, c.b), "%s %s", c.a, c.b)
		assert.Equal(t, c.want, edits(c.b, c.a), "%s %s", c.b, c.a)
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	type server struct{ url string }
	table := []Variable[server]{URL("STRESS_SERVER", func(s *server, url string) { s.url = url }, "tls")}
	for _, value := range []string{
		"nats://me:hunter2@host", "http://me:hunter2@host", "nats://me:hun/hunter2@host", "nats://me:hun@hunter2@:x",
	} {
		var s server
		err := Read(&s, []string{"STRESS_SERVER=" + value}, table)
		require.ErrorIs(t, err, ErrSetting)
		assert.NotContains(t, err.Error(), "hun")
		assert.Contains(t, err.Error(), "://***@")
		assert.Empty(t, s.url)
	}
	var s server
	require.NoError(t, Read(&s, []string{"STRESS_SERVER=tls://me:secret@host:1"}, table))
	assert.Equal(t, "tls://me:secret@host:1", s.url)
}

func TestAllThatIsWrongIsSaid(t *testing.T) {
	_, err := parse([]string{"STRESS_SEED=x", "STRESS_RATES=1"}, Build{})
	assert.ErrorContains(t, err, "STRESS_SEED")
	assert.ErrorContains(t, err, "STRESS_RATES")
}

func TestRegression(t *testing.T) {
	for _, value := range []string{"10%", "10", "10 %", "1e1"} {
		s, err := parse([]string{"STRESS_BASELINE=x", "STRESS_REGRESSION=" + value}, Build{})
		require.NoError(t, err, value)
		require.NotNil(t, s.Regression)
		assert.Equal(t, 10.0, *s.Regression, value)
	}
}

func TestRaceCutsTheScaleAndSaysSo(t *testing.T) {
	s, err := parse(nil, Build{Race: true})
	require.NoError(t, err)
	assert.Equal(t, raceScale, s.Scale)
	require.Len(t, s.Notes, 1)
	assert.Contains(t, s.Notes[0], "from 100000 to 5000")

	s, err = parse([]string{"STRESS_SCALE=400"}, Build{Race: true})
	require.NoError(t, err)
	assert.Equal(t, 400, s.Scale)
	assert.Empty(t, s.Notes)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"STRESS_SCALE=1e5", "STRESS_SEED=7", "STRESS_HOLD=9h", "STRESS_X", "STRESS_RATE=0x1p-2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		s, err := parse([]string{entry}, Build{Available: gigabytes(4)})
		if err != nil {
			if !errors.Is(err, ErrSetting) {
				t.Fatalf("%q: error of another kind: %v", entry, err)
			}
			return
		}
		if s.Scale < 1 || s.Scale > 1_000_000 || s.Rate < 0 || s.Hold < time.Second || s.Hold > longestHold ||
			s.Nodes < fewestNodes || s.Nodes > mostNodes || s.Burn < shortestBurn {
			t.Fatalf("%q was accepted as %+v", entry, s)
		}
	})
}
