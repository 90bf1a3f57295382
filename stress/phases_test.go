package stress_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// phasesOf are a kit's phases by name, each with a fault that it finds by itself.
type phasesOf struct {
	sound, faulty string // tests
	faults        map[string]fault
	env           []string // of those with faults
}

// TestPoolPhasesAlone and the like run each phase of a kit alone, as the button of an
// editor does: a sound subject passes in it, and one with a fault fails.
func TestPoolPhasesAlone(t *testing.T) {
	eachAlone(t, phasesOf{sound: "TestStressPool", faulty: "TestFaultyPool", faults: map[string]fault{
		"order":         {"out of order", "was served before waiter"},
		"line":          {"sneaky: last come, first served beyond 100", "were served before others that had come earlier"},
		"deadline":      {"leaks on time-out", "capacity has leaked"},
		"broken":        {"returns broken", "discarded as broken"},
		"failing dials": {"loses room to a failed dial", "was not served after the dial of another had failed"},
		"overflow":      {"sneaky: overflows too early", "a waiter within the bound of 3"},
		"limits":        {"ignores idle time", "a connection was lent that had been idle for"},
		"close":         {"sneaky: Close waits for all but one", "Close returned while 1 connections were lent out"},
		"kept":          {"sneaky: remembers who came", "each connection that was lent and returned leaves"},
		"burst":         {"swaps two replies", "got the reply to operation"},
		"steady":        {"two users", "hold the same connection"},
		"faults":        {"returns broken", "discarded as broken"},
		"close all":     {"sneaky: Close forgets one", "open after every pool was closed"},
	}})
}

func TestRouterPhasesAlone(t *testing.T) {
	unhurried(t)
	eachAlone(t, phasesOf{sound: "TestStressRouter", faulty: "TestFaultyRouter", faults: map[string]fault{
		"errors":     {"sneaky: says closed where nobody is", "Send to an unknown name gave"},
		"full":       {"sneaky: takes one when full and drops it", "lost"},
		"order":      {"swaps two", "reordered"},
		"names":      {"sneaky: lets two give up a name", "of 8 that unregistered one name at the same time succeeded"},
		"grow":       {"loses a registration", "routing.errors: "},
		"unregister": {"loses at unregister", "neither delivered nor refused"},
		"lives":      {"sneaky: takes what comes to a name that is gone", "Send to a name that was unregistered gave <nil>"},
		"relay":      {"sneaky: handles under a lock", "routing.handlers: "}, // Send hangs, or what it has sent
		"fair":       {"sneaky: serves who is not busy last", "got nothing for"},
		"panic":      {"panic stops the rest", "other names got nothing"},
		"close": {"sneaky: Close returns before the last message",
			"Close returned while 400 messages had not been delivered"},
		"idle":       {"sneaky: leaves a goroutine for each router", "left behind"},
		"kept":       {"sneaky: keeps names that are gone", "each name that was registered and unregistered leaves"},
		"in flight":  {"sneaky: loses the first message of a name", "lost"},
		"throughput": {"doubles one", "duplicated"},
		"steady":     {"swaps two", "reordered"},
		"churn":      {"sneaky: loses the first message of a name", "routing.churn: names that were not unregistered: "},
	}})
}

func TestBalancerPhasesAlone(t *testing.T) {
	unhurried(t)
	eachAlone(t, phasesOf{sound: "TestStressBalancer", faulty: "TestFaultyBalancer", faults: map[string]fault{
		"empty":       {"sees a death late", "with its only node down Pick gave"},
		"weights":     {"ignores weights", "node-0 of weight 1 of 10 has"},
		"keys":        {"moves keys without need", "keys moved without need"},
		"placement":   {"moves keys without need", "keys have another node"},
		"skew":        {"breaks on Zipf keys", "under Zipf keys"},
		"spread":      {"3 % skewed", "default, N held: node-0 has"},
		"concurrent":  {"picks a dead node", "after it was gone"},
		"cost":        {"allocates", "a pick makes 1.00 allocations"},
		"connections": {"3 % skewed", "real connections, all: node-0 counted"},
	}})
}

func TestQueuePhasesAlone(t *testing.T) {
	unhurried(t)
	eachAlone(t, phasesOf{sound: "TestStressQueue", faulty: "TestFaultyQueue", env: []string{processes},
		faults: map[string]fault{
			"order":              {"doubles one", "duplicated"},
			"redelivery":         {"attempt stuck", "as attempt 1 and it is its attempt 2"},
			"waiters":            {"forgets the fifth who waits", "8 consumers waited and as many messages were published"},
			"dead letter":        {"dead letter is lost", "the dead-letter queue"},
			"bounded":            {"one too many in a queue", "a queue bounded to 8 took 9 messages"},
			"deadline":           {"takes a message with it", "a consumer gave up"},
			"close":              {"takes after close", "Publish after Close returned nil"},
			"contention":         {"corrupts one", "corrupted"},
			"in flight":          {"two holders", "was given to a second consumer while one held it"},
			"throughput":         {"takes the wrong queue", "misrouted"},
			"steady":             {"invents one", "phantom"},
			"kept":               {"remembers what was acknowledged", "each message that was acknowledged leaves "},
			"reopen":             {"close loses what is left", "after Close and opening again message"},
			"durable throughput": {"refuses one on the disk", "Publish returned no"},
			"kills":              {"loses confirmed acks", "though its acknowledgement had been confirmed"},
			"lock":               {"no lock", "a second process opened the log"},
			"damage":             {"refuses a damaged log", "the broker does not open"},
			"disk": {"never syncs",
				"was confirmed while the sync that would bring it to the disk had not ended"},
			"kills with every option": {"brings the dead back", "again after it had come as a dead letter"},
			"power cut":               {"syncs no folder", "queueing.power_cut: "},
		}})
}

func TestSessionsPhasesAlone(t *testing.T) {
	unhurried(t)
	eachAlone(t, phasesOf{sound: "TestStressSessions", faulty: "TestFaultySessions", env: []string{processes},
		faults: map[string]fault{
			"formation":  {"takes no write", "does not take a write"},
			"small":      {"makes up values", "that nobody wrote"},
			"throughput": {"loses one of a thousand", "was acknowledged"},
			"steady":     {"serves what it has read before", "sessions.latest"},
			"kill":       {"stops when a node is lost", "no node acknowledged a write"},
			"faults":     {"ignores the time to live", ", must live for"},
			"end":        {"leaves a process behind", "did not end when it was told to"},
		}})
}

func TestClusterPhasesAlone(t *testing.T) {
	unhurried(t)
	env := []string{"STRESS_BURN=1s", processes}
	eachAlone(t, phasesOf{sound: "TestStressCluster", faulty: "TestFaultyCluster", env: env, faults: map[string]fault{
		"formation":    {"knows nobody", "4 nodes were started, and"},
		"conflicts":    {"another name will do", "with a name that is taken was started without an error"},
		"wrong secret": {"accepts any secret", "formation.secret: "},
		"kills":        {"takes nobody back", "was started again under its name, and"},
		"hung":         {"keeps the dead", "has node-"},
		"leave":        {"left is failed", "as failed"},
		"burn":         {"drops a healthy one", "which is alive and well"},
		"close":        {"leaves a goroutine", "left behind: 1 goroutines"},
	}})
}

func TestTransportPhasesAlone(t *testing.T) {
	unhurried(t)
	eachAlone(t, phasesOf{sound: "TestStressTransport", faulty: "TestFaultyTransport", env: []string{processes},
		faults: map[string]fault{
			"formation":    {"knows nobody", "4 nodes were started, and"},
			"sizes":        {"nothing above 32 KB", "a call of 65536 bytes"},
			"one-way":      {"loses one-way messages", "one-way: of"},
			"in flight":    {"answers nobody", "in flight: "},
			"throughput":   {"doubles one", "came again"},
			"steady":       {"doubles one", "came again"},
			"larger":       {"nothing above 32 KB", "ended with an error though nothing was wrong"},
			"strangers":    {"accepts any secret", "messaging.secret: "},
			"garbled":      {"one break breaks all", "was garbled, and other calls failed"},
			"stopped peer": {"no bound", "messaging.back_pressure: node-"},
			"dead peer":    {"another error for the dead", "an error that is not Errors().Unreachable"},
			"close":        {"leaves a goroutine", "left behind: 1 goroutines"},
		}})
}

func TestConnectionsPhasesAlone(t *testing.T) {
	unhurried(t)
	env := []string{"STRESS_HOLD=1s"}
	eachAlone(t, phasesOf{sound: "TestStressConnections", faulty: "TestFaultyConnections", env: env,
		faults: map[string]fault{
			"answers": {"takes a piece for a request", "requests that came in pieces"},
			"tcp":     {"takes a piece for a request", "requests that came in pieces"},
			"start":   {"is not there again", "open returned no server for"},
			"lives":   {"remembers who was there", "bytes with each connection that has come and gone"},
			"connect": {"crashes with many", "the process ended: panic: too many connections"},
			"hold":    {"loses a reply", "connection 700 got no reply to request 2 within"},
			"churn":   {"remembers who was there", "bytes with each connection that has come and gone"},
			"release": {"doubles the last reply", "bytes came in after the last reply"},
		}})
}

func TestChaosPhasesAlone(t *testing.T) {
	unhurried(t)
	eachAlone(t, phasesOf{sound: "TestStressChaos", faulty: "TestChaosOf", env: []string{processes},
		faults: map[string]fault{
			"engine: plans":             {"plans by the clock", "two plans from seed"},
			"engine: blast radius":      {"lets a twelfth more go", "hit at once, the bound is"},
			"engine: everything undone": {"leaves a target hit", "are still hit"},
			"engine: steady state":      {"does not ask first", "although the steady state did not hold"},
			"workers: a death":          {"answers a death as handled", "was answered as handled"},
			"workers: a crash loop":     {"restarts a crash loop for ever", "nothing stops the crash loop"},
			"workers: a hang":           {"waits for ever for one that hangs", "hangs over an operation and was not replaced"},
			"workers: a tenth dies":     {"refuses work of others", "which was not hit, returned"},
			"nodes: form":               {"knows nobody", "is not in its steady state though nothing is wrong"},
			"nodes: kill":               {"does not take a node back", "as failed"},
			"nodes: close":              {"leaves a goroutine", "left behind: 1 goroutines"},
			"links":                     {"cuts nothing", "bytes passed from"},
		}})
}

func eachAlone(t *testing.T, kit phasesOf) {
	if testing.Short() {
		unhurried(t) // with it, the phases and criteria are listed
	}
	t.Parallel()
	phases := phasesThere(t, kit.sound)
	for _, phase := range phases {
		t.Run(phase, func(t *testing.T) {
			if testing.Short() || phase == "explore" || phase == "programs" {
				t.Skip("takes two processes of its own, or has tests of its own")
			}
			turns <- struct{}{}
			defer func() { <-turns }()
			t.Run("sound", func(t *testing.T) {
				passesAlone(t, kit.sound, phase, phases)
			})
			t.Run("faulty", func(t *testing.T) {
				unhurried(t)
				f, ok := kit.faults[phase]
				require.True(t, ok, "no fault is known that this phase finds by itself")
				mustBeCaughtNow(t, alone(faultyOf(kit.faulty, phase), phase), f, kit.env...)
			})
		})
	}
	for phase := range kit.faults {
		assert.Contains(t, phases, phase)
	}
}

// alone is the pattern of a phase, without the ends that are added to it.
func alone(kit, phase string) string {
	return kit + "$/^" + strings.ReplaceAll(phase, " ", "_")
}

// faultyOf is the test of a phase: the parts of chaos have tests of their own.
func faultyOf(kit, phase string) string {
	if kit != "TestChaosOf" {
		return kit
	}
	part, _, _ := strings.Cut(phase, ":")
	return kit + strings.ToUpper(part[:1]) + part[1:]
}

// phasesThere are the phases of a kit, as a run tells that leaves out all of them.
func phasesThere(t *testing.T, kit string) (names []string) {
	out := t.TempDir()
	said, err := runKit(kit+"$/^-", "STRESS_SCALE=100", "STRESS_OUT="+out)
	require.NoError(t, err, said)
	r, err := report.Load(out)
	require.NoError(t, err, said)
	assert.Equal(t, report.NothingRan, r.State)
	assert.Equal(t, "nothing ran", r.Outcome)
	assert.Contains(t, said, " nothing ran ")
	s := ranAlone(t, r)
	for _, p := range s.Phases {
		assert.Equal(t, report.NotRun, p.State, p.Name)
		names = append(names, p.Name)
	}
	for _, c := range s.Checks {
		t.Log("criterion", c.ID)
		assert.NotEqual(t, validate.Passed, c.Verdict, "%s: nothing ran", c.ID)
		assert.NotEqual(t, validate.Failed, c.Verdict, "%s: nothing ran", c.ID)
	}
	require.Len(t, names, s.PhasesAll)
	return names
}

// passesAlone shows that a sound subject passes in a phase, and that this is all that is
// said of it.
func passesAlone(t *testing.T, kit, phase string, all []string) {
	out := t.TempDir()
	said, _ := runKit(alone(kit, phase), // the report says how it ended
		"STRESS_SCALE=500", "STRESS_HOLD=1s", "STRESS_HISTORIES=1", "STRESS_OUT="+out)
	r, err := report.Load(out)
	require.NoError(t, err, said)
	s := ranAlone(t, r)
	nothingButSlow(t, r)
	for _, p := range s.Phases {
		if p.Name != phase && slices.Contains(all, p.Name) { // others are parts of it
			assert.Equal(t, report.NotRun, p.State, "%s was run too", p.Name)
		}
	}
	assert.Equal(t, []int{1, len(all)}, []int{s.PhasesRun, s.PhasesAll})
	if s.State == report.Failed { // it is slow here
		return
	}
	assert.Equal(t, report.Partial, r.State)
	outcome := fmt.Sprintf("passed (1 of %d phases)", len(all))
	assert.Equal(t, outcome, r.Outcome)
	assert.Contains(t, said, outcome)
	for _, c := range s.Checks {
		assert.False(t, c.Verdict == validate.NotMeasured && c.Note == "" && c.Kind == validate.Must,
			"%s: nobody says why it is not measured", c.ID)
	}
}

// ranAlone is the one scenario of a run that was run.
func ranAlone(t *testing.T, r *report.Run) (found *report.Scenario) {
	for _, s := range r.Scenarios {
		if s.State != report.NotRun {
			require.Nil(t, found, "one kit was run")
			found = s
		}
	}
	require.NotNil(t, found)
	return found
}
