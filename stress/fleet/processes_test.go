package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/proc"
)

// subjectVariable tells processes of a fleet where the subject is. It does not
// begin with STRESS_, as it is nothing for users to set.
const subjectVariable = "FLEET_SUBJECT"

// processes starts the processes of a fleet: the test that calls it, executed
// again, with the environment that a user would give it. In those processes it
// does not return.
type processes struct {
	t    *testing.T
	site *proc.Site
	out  string
	env  []string
}

func newProcesses(t *testing.T, l Load) *processes {
	p := &processes{t: t, site: proc.At(t, "fleet")}
	p.site.Serve(func(link *proc.Link) error {
		// As if the machines had been started hours apart, that of the lead first.
		started := 1000
		if os.Getenv("STRESS_FLEET_ROLE") == string(Agent) {
			started = os.Getpid() % 1000
		}
		epoch = epoch.Add(-time.Duration(started) * time.Minute)
		const connections = 8
		c, err := dial(os.Getenv(subjectVariable), connections)
		if err != nil {
			return err
		}
		l.Do = c.do
		Test(t, l)
		if t.Failed() {
			return fmt.Errorf("the test has failed")
		}
		return c.close(connections)
	})
	return p
}

// process is one of a fleet.
type process struct {
	*proc.Process
	t   *testing.T
	log string
}

func (p *processes) start(name string, env ...string) *process {
	p.t.Helper()
	log := filepath.Join(p.out, name+".log")
	file, err := os.Create(log)
	require.NoError(p.t, err)
	defer func() { _ = file.Close() }() // the process has its own
	child, err := p.site.Start(nil, proc.Options{Output: file, Env: append(append([]string{}, p.env...), env...)})
	require.NoError(p.t, err)
	p.t.Cleanup(child.Kill)
	return &process{child, p.t, log}
}

// said is what a process has printed.
func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	require.NoError(p.t, err)
	return string(text)
}

// ends waits for the end of a process and tells whether it was a good one.
func (p *process) ends() error {
	p.t.Helper()
	select {
	case <-p.Ended():
	case <-time.After(30 * time.Second):
		p.t.Fatalf("a process of the fleet does not end: %s", p.said())
	}
	return p.Close()
}

func (p *processes) lead(agents int) *process {
	return p.start("lead", "STRESS_FLEET_ROLE=lead", fmt.Sprintf("STRESS_FLEET_AGENTS=%d", agents), "STRESS_OUT="+p.out)
}

func (p *processes) agents(n int) []*process {
	all := make([]*process, n)
	for i := range all {
		all[i] = p.start(fmt.Sprintf("agent%d", i), "STRESS_FLEET_ROLE=agent", "STRESS_OUT="+filepath.Join(p.out, "none"))
	}
	return all
}

// result is what the lead has left.
func (p *processes) result() *Result {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.out, "fleet.json"))
	require.NoError(p.t, err)
	var left struct{ Fleets []*Result }
	require.NoError(p.t, json.Unmarshal(text, &left))
	require.Len(p.t, left.Fleets, 1)
	return left.Fleets[0]
}

// world is a server and a subject for processes.
func (p *processes) world() *subject {
	s := newSubject(p.t)
	p.out = p.t.TempDir()
	p.env = []string{
		"STRESS_FLEET=" + address(natsServer(p.t)), subjectVariable + "=" + s.listener.Addr().String(),
		"STRESS_FLEET_NAME=test",
	}
	return s
}

// TestProcesses: what the fleet reports is what the subject has counted.
func TestProcesses(t *testing.T) {
	t.Parallel()
	const rate, seconds, agents = 3000, 1, 3
	p := newProcesses(t, Load{Rate: rate, For: seconds * time.Second, Wait: 20 * time.Second, Criteria: counts})
	s := p.world()
	lead, all := p.lead(agents), p.agents(agents)
	assert.NoError(t, lead.ends(), "%s", lead.said())
	for _, a := range all {
		assert.NoError(t, a.ends(), "%s", a.said())
	}
	r := p.result()
	t.Log(r)
	const whole = rate * seconds
	assert.Equal(t, []int{whole, whole, whole, 0, 0}, []int{r.Asked, r.Started, r.Succeeded, r.Failed, r.Unfinished})
	assert.Equal(t, whole, r.Latency.N)
	asked, again := s.counted(0, whole)
	assert.Equal(t, whole, asked, "operations of which the subject knows")
	assert.Zero(t, again, "operations that two agents asked for")
	assert.Len(t, s.times, whole)
	assert.True(t, r.Complete())
	assert.Equal(t, 1.0, r.Share)
	require.Len(t, r.Parts, agents)
	pids := make(map[int]bool)
	for _, part := range r.Parts {
		assert.Equal(t, whole/agents, part.Succeeded)
		asked, _ := s.counted(part.First, part.Asked)
		assert.Equal(t, part.Succeeded, asked)
		assert.NotEmpty(t, part.Environment.GoVersion)
		pids[part.PID] = true
	}
	for _, a := range all {
		assert.True(t, pids[a.Pid()], "process %d is an agent", a.Pid())
	}
	assert.Positive(t, r.Spread)
	assert.Less(t, time.Duration(r.Spread), time.Second)
	page, err := os.ReadFile(filepath.Join(p.out, "fleet.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "3 of 3 agents, 100 % of the load measured")
	assert.NoDirExists(t, filepath.Join(p.out, "none"), "an agent left a report")
}

// TestKilledAgent: its part is not measured, and said to be; the others count.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	const rate, seconds, agents = 1800, 1, 3
	p := newProcesses(t, Load{Rate: rate, For: seconds * time.Second, Wait: 20 * time.Second, Criteria: counts})
	s := p.world()
	lead, all := p.lead(agents), p.agents(agents)
	victim := all[1]
	s.on(rate/2, victim.Kill)
	assert.NoError(t, lead.ends(), "%s", lead.said())
	assert.NoError(t, all[0].ends(), "%s", all[0].said())
	assert.NoError(t, all[2].ends(), "%s", all[2].said())
	r := p.result()
	t.Log(r)
	const part = rate * seconds / agents
	assert.Equal(t, []int{3, 2}, []int{r.Agents, r.Measured})
	assert.InDelta(t, 2.0/3, r.Share, 1e-9)
	assert.Equal(t, []int{2 * part, 2 * part, 2 * part, 0, 0},
		[]int{r.Asked, r.Started, r.Succeeded, r.Failed, r.Unfinished})
	assert.Equal(t, 2*part, r.Latency.N)
	for _, one := range r.Parts {
		asked, again := s.counted(one.First, one.Asked)
		assert.Zero(t, again)
		if one.PID == victim.Pid() {
			assert.False(t, one.Measured)
			assert.Contains(t, one.Why, "no longer connected")
			assert.Zero(t, one.Succeeded)
			assert.Zero(t, one.Latency.N)
			assert.Less(t, asked, part, "it was killed before its end")
			assert.LessOrEqual(t, one.Seen, asked)
			continue
		}
		assert.True(t, one.Measured)
		assert.Equal(t, part, one.Succeeded)
		assert.Equal(t, part, asked)
	}
	for _, c := range r.Checks {
		assert.NotEqual(t, "passed", string(c.Verdict), "%v: it holds with a part of the load only", c)
	}
	page, err := os.ReadFile(filepath.Join(p.out, "fleet.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "2 of 3 agents, 66.7 % of the load measured")
	assert.Contains(t, string(page), "33.3 % of the load, is not measured")
	assert.Contains(t, string(page), "| not measured |")
}

// TestKilledLead: agents end by themselves, and say why.
func TestKilledLead(t *testing.T) {
	t.Parallel()
	p := newProcesses(t, Load{Rate: 200, For: time.Minute, Wait: 20 * time.Second, Criteria: counts})
	s := p.world()
	lead, all := p.lead(2), p.agents(2)
	s.on(50, lead.Kill)
	for _, a := range all {
		assert.Error(t, a.ends())
		assert.Contains(t, a.said(), "the lead of the fleet: fleet: lost")
	}
}

// TestInterruptedLead: the agents are told at once, and why.
func TestInterruptedLead(t *testing.T) {
	t.Parallel()
	p := newProcesses(t, Load{Rate: 200, For: time.Minute, Wait: 20 * time.Second, Criteria: counts})
	s := p.world()
	lead, all := p.lead(2), p.agents(2)
	s.on(50, func() { assert.NoError(t, lead.Signal(syscall.SIGTERM)) })
	assert.ErrorContains(t, lead.ends(), "exit status 143")
	for _, a := range all {
		assert.Error(t, a.ends())
		assert.Contains(t, a.said(), "the lead ended the run: interrupted by terminated")
	}
	assert.NoFileExists(t, filepath.Join(p.out, "fleet.json"))
}

// TestInterruptedAgent: the lead is told at once, and the process ends as by the
// signal.
func TestInterruptedAgent(t *testing.T) {
	t.Parallel()
	p := newProcesses(t, Load{Rate: 800, For: 750 * time.Millisecond, Wait: 20 * time.Second, Criteria: counts})
	s := p.world()
	lead, all := p.lead(2), p.agents(2)
	s.on(50, func() { assert.NoError(t, all[0].Signal(syscall.SIGTERM)) })
	assert.ErrorContains(t, all[0].ends(), "exit status 143")
	assert.NoError(t, lead.ends(), "%s", lead.said())
	assert.NoError(t, all[1].ends(), "%s", all[1].said())
	r := p.result()
	assert.Equal(t, 1, r.Measured)
	for _, one := range r.Parts {
		if one.PID == all[0].Pid() {
			assert.Contains(t, one.Why, "it left: interrupted by terminated")
		}
	}
}
