package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/links"
	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/node"
)

// cluster are the node processes that programs run on, one program after the other. Every
// node reaches every other through a link.
type cluster struct {
	k       *kit
	site    *proc.Site
	links   *links.Links
	members []*member
	batches int  // made so far
	dirty   bool // a program has not ended, and left it as it was then
	through bool // the subject dials by the function that it is given
}

// member is a node in one life after the other.
type member struct {
	name, addr string
	i          int
	process    *proc.Process
	up         atomic.Bool // its process runs, and has a node that was not told to end
	stopped    atomic.Bool
	stoppedAt  time.Time
	stoppedFor time.Duration // in this life
	quiet      nodes.Usage   // of this life, at the end of its first program

	mu   sync.Mutex
	lost map[string]int // how often it had another as not alive
}

// The shape of the clusters of programs.
const (
	programNodes = 3
	// programTimeout is Config.CallTimeout: short, as many calls are to run out of it.
	programTimeout = 500 * time.Millisecond
)

// newCluster forms one.
func (k *kit) newCluster(ctx context.Context, site *proc.Site) (*cluster, error) {
	l, err := links.New(programNodes)
	if err != nil {
		return nil, err
	}
	c := &cluster{k: k, site: site, links: l, dirty: true}
	for i, name := range proc.NodeNames(programNodes) {
		addr, err := proc.FreeAddr()
		if err != nil {
			return c, err
		}
		c.members = append(c.members, &member{name: name, addr: addr, i: i})
		l.Target(i, addr)
	}
	wait.All(programNodes, func(i int) { c.members[i].process, err = c.launch(c.members[i]) })
	if err != nil {
		return c, err
	}
	for _, m := range c.members {
		if err := c.join(ctx, m); err != nil {
			return c, err
		}
	}
	if lists, calls := c.steady(ctx); lists+calls != "" {
		return c, errors.New(lists + calls)
	}
	for _, m := range c.members {
		for _, other := range c.members {
			c.through = c.through || m != other && l.Open(m.i, other.i) > 0
		}
	}
	c.dirty = false
	return c, nil
}

// launch starts the process of a member.
func (c *cluster) launch(m *member) (*proc.Process, error) {
	m.mu.Lock()
	m.lost = make(map[string]int)
	m.mu.Unlock()
	return c.site.Start(nil, proc.Options{Output: c.k.LogFile("programs-" + m.name), OnEvent: func(body json.RawMessage) {
		var e nodes.Event
		if json.Unmarshal(body, &e) != nil {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		for name, state := range e.Members {
			if state != node.Alive {
				m.lost[name]++
			}
		}
	}})
}

// join has the process of a member be a node, through those that are.
func (c *cluster) join(ctx context.Context, m *member) error {
	start := nodes.Start{Name: m.name, Bind: m.addr, Secret: nodes.Secret(c.k.Seed), Window: nodes.Window,
		CallTimeout: programTimeout, Proxies: make(map[string]string)}
	for _, other := range c.members {
		if other == m {
			continue
		}
		start.Proxies[other.addr] = c.links.Addr(m.i, other.i)
		if other.up.Load() {
			start.Seeds = append(start.Seeds, other.addr)
		}
	}
	if err := m.process.Ask(ctx, nodes.Order{Do: "start", Pace: nodes.LookSeldom, Start: &start}, nil); err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	m.quiet, m.stoppedFor = nodes.Usage{}, 0
	m.stopped.Store(false)
	m.up.Store(true)
	return nil
}

// again starts a node again under its name and address, once the others know that it is
// gone, and waits until all is steady. It returns a sentence of what is not so.
func (c *cluster) again(ctx context.Context, m *member) (wrong string) {
	wait.Until(ctx, scenario.Settle, func() bool { return c.listedAlive(ctx, m) == "" })
	if err := c.links.Refuse(m.i, false); err != nil {
		return err.Error()
	}
	wait.Until(ctx, scenario.Settle, func() bool {
		wrong = ""
		var err error
		if m.process, err = c.launch(m); err == nil {
			if err = c.join(ctx, m); err == nil {
				return true
			}
			m.process.Kill()
		}
		wrong = fmt.Sprintf("%s cannot be started again: %v", m.name, err)
		return ctx.Err() != nil
	})
	return wrong
}

// listedAlive names a running node that has another as alive, or returns "".
func (c *cluster) listedAlive(ctx context.Context, m *member) string {
	states, err := ask[nodes.ProgramState](ctx, c.running(), nodes.Order{Do: "program"})
	if err != nil {
		return err.Error()
	}
	for by, s := range states {
		if s.Members[m.name] == node.Alive {
			return by.name
		}
	}
	return ""
}

// end takes the process of a member that was told to end, or is to be killed, off.
func (c *cluster) end(m *member) error {
	m.up.Store(false)
	m.process.Kill()
	return c.links.Refuse(m.i, true)
}

// running are the members that do something.
func (c *cluster) running() []*member {
	return slices.DeleteFunc(slices.Clone(c.members), func(m *member) bool { return !m.up.Load() || m.stopped.Load() })
}

// ask has members do something at the same time.
func ask[T any](ctx context.Context, members []*member, o nodes.Order) (map[*member]T, error) {
	answers, errs := make([]T, len(members)), make([]error, len(members))
	wait.All(len(members), func(i int) { errs[i] = members[i].process.Ask(ctx, o, &answers[i]) })
	all := make(map[*member]T)
	for i, m := range members {
		if errs[i] != nil {
			return nil, fmt.Errorf("%s: %w", m.name, errs[i])
		}
		all[m] = answers[i]
	}
	return all, nil
}

// steady waits until every running node lists every other as alive, and can call it. It
// returns sentences of what is not so: of the lists, and of the calls.
func (c *cluster) steady(ctx context.Context) (lists, calls string) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	wait.Until(ctx, scenario.Settle, func() bool {
		l, failed := c.lists(ctx), ""
		if l == "" {
			failed = c.pings(ctx)
		}
		if ctx.Err() == nil || l+failed == "" {
			lists, calls = l, failed // what is cut short says nothing
		}
		return lists+calls == ""
	})
	return lists, calls
}

func (c *cluster) lists(ctx context.Context) string {
	running := c.running()
	states, err := ask[nodes.ProgramState](ctx, running, nodes.Order{Do: "program"})
	if err != nil {
		return err.Error()
	}
	for _, m := range running {
		for _, other := range running {
			if is := states[m].Members[other.name]; other != m && is != node.Alive {
				return fmt.Sprintf("%s has %s as %q", m.name, other.name, is)
			}
		}
	}
	return ""
}

func (c *cluster) pings(ctx context.Context) string {
	running := c.running()
	for _, m := range running {
		var to []string
		for _, other := range running {
			if other != m {
				to = append(to, other.name)
			}
		}
		wrong, err := ask[map[string]string](ctx, []*member{m}, nodes.Order{Do: "ping", To: to})
		if err != nil {
			return err.Error()
		}
		for _, name := range slices.Sorted(maps.Keys(wrong[m])) {
			return fmt.Sprintf("a call of %s to %s failed: %s", m.name, name, wrong[m][name])
		}
	}
	return ""
}

// lostSight is how often one member has had another as not alive.
func lostSight(m, of *member) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost[of.name]
}

// kill ends all processes, and the links.
func (c *cluster) kill() {
	for _, m := range c.members {
		if m.process != nil {
			m.process.Kill()
		}
	}
	if err := c.links.Close(); err != nil {
		c.k.Logf("programs: %v", err)
	}
}
