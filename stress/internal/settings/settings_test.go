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
	s, err := Parse([]string{"HOME=/", "STRESS_SEED="}, Build{Root: "x"})
	require.NoError(t, err)
	assert.Equal(t, 100_000, s.Scale)
	assert.Equal(t, filepath.Join("x", "out"), s.Out)
	assert.Equal(t, 10*time.Second, s.Hold)
	assert.Equal(t, load.Constant, s.Arrivals)
	assert.Equal(t, 4, s.Nodes)
	assert.Equal(t, 10*time.Second, s.Patience)
	assert.Equal(t, 5*time.Second, s.Burn)
	assert.Empty(t, s.Notes)

	s, err = Parse(nil, Build{Short: true})
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
		"STRESS_NATS_URL=nats://u:p@h:4222":  func(Settings) bool { return true },
		"STRESS_POSTGRES_URL=postgres://h/d": func(Settings) bool { return true },
	} {
		s, err := Parse([]string{entry}, Build{Root: "root", Engines: []string{"nats"}})
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
		{"STRESS_TARGETS=run.throughput=1", "each once and above 0, of formation.formed"},
		{"STRESS_NATS_URL=localhost", "nats://user:secret@127.0.0.1"},
		{"STRESS_NATS_URL=http://localhost", "nats://user:secret@127.0.0.1"},
		{"STRESS_POSTGRES_URL=nats://localhost", "postgres://user:secret@127.0.0.1"},
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
		{"STRESS_FLEET=localhost:4222", "such as nats://user:password@host:4222"},
		{"STRESS_FLEET=http://localhost", "tls://host:4222"},
		{"STRESS_FLEET=nats://", "nats://user"},
		{"STRESS_FLEET=nats://host/path", "nats://user"},
		{"STRESS_FLEET=nats://host:port", "nats://user"},
		{"STRESS_FLEET=nats://host", "without STRESS_FLEET_ROLE, which must be lead or agent"},
		{"STRESS_FLEET_ROLE=boss", "must be lead or agent"},
		{"STRESS_FLEET_ROLE=agent", "without STRESS_FLEET, which must be the URL"},
		{"STRESS_FLEET_AGENTS=0", "from 1 to 1000"},
		{"STRESS_FLEET_AGENTS=1001", "from 1 to 1000"},
		{"STRESS_FLEET_AGENTS=3", "without STRESS_FLEET, which must be the URL"},
		{"STRESS_FLEET_NAME=two words", "letters, digits, hyphens and underscores"},
		{"STRESS_FLEET_NAME=nightly", "without STRESS_FLEET, which must be the URL"},
		{"STRESS_FOO=1", "STRESS_SCALE, STRESS_SCALING, STRESS_SCHEDULE"},
		{"STRESS_FOO=", "STRESS_SCALE, STRESS_SCALING, STRESS_SCHEDULE"},
	} {
		_, err := Parse([]string{c.entry}, Build{Available: gigabytes(24)})
		if !assert.ErrorIs(t, err, ErrSetting, c.entry) {
			continue
		}
		name, value, _ := strings.Cut(c.entry, "=")
		assert.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, `"`+value+`"`)
		assert.ErrorContains(t, err, c.accepted)
	}
}

func TestFleet(t *testing.T) {
	at := func(entries ...string) []string { return append(entries, "STRESS_FLEET=tls://me:secret@host:4222") }
	s, err := Parse(at("STRESS_FLEET_ROLE=lead", "STRESS_FLEET_AGENTS=3", "STRESS_FLEET_NAME=night-ly_2"), Build{})
	require.NoError(t, err)
	assert.Equal(t, Fleet{URL: "tls://me:secret@host:4222", Role: Lead, Agents: 3, Name: "night-ly_2"}, s.Fleet)
	s, err = Parse(at("STRESS_FLEET_ROLE=agent"), Build{})
	require.NoError(t, err, "only the lead has to know how many agents there are")
	assert.Equal(t, Agent, s.Fleet.Role)
	_, err = Parse(at("STRESS_FLEET_ROLE=lead"), Build{})
	assert.ErrorContains(t, err, "without STRESS_FLEET_AGENTS, which must be a whole number from 1 to 1000")
	s, err = Parse(nil, Build{})
	require.NoError(t, err)
	assert.Equal(t, Alone, s.Fleet.Role)
}

func TestPasswordsAreNotShown(t *testing.T) {
	for _, value := range []string{
		"nats://me:secret@host", "http://me:secret@host", "nats://me:sec/secret@host", "nats://me:sec@secret@:x",
	} {
		_, err := Parse([]string{"STRESS_FLEET=" + value}, Build{})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "secret")
		assert.Contains(t, err.Error(), "://***@")
	}
}

func TestAllThatIsWrongIsSaid(t *testing.T) {
	_, err := Parse([]string{"STRESS_SEED=x", "STRESS_BAR=1"}, Build{})
	assert.ErrorContains(t, err, "STRESS_SEED")
	assert.ErrorContains(t, err, "STRESS_BAR")
}

func TestRegression(t *testing.T) {
	for _, value := range []string{"10%", "10", "10 %", "1e1"} {
		s, err := Parse([]string{"STRESS_BASELINE=x", "STRESS_REGRESSION=" + value}, Build{})
		require.NoError(t, err, value)
		require.NotNil(t, s.Regression)
		assert.Equal(t, 10.0, *s.Regression, value)
	}
}

func TestRaceCutsTheScaleAndSaysSo(t *testing.T) {
	s, err := Parse(nil, Build{Race: true})
	require.NoError(t, err)
	assert.Equal(t, raceScale, s.Scale)
	require.Len(t, s.Notes, 1)
	assert.Contains(t, s.Notes[0], "from 100000 to 5000")

	s, err = Parse([]string{"STRESS_SCALE=400"}, Build{Race: true})
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
		s, err := Parse([]string{entry}, Build{Available: gigabytes(4)})
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
