package stress_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"net/rpc"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/cluster"
	"tensile/stress/report"
	"tensile/stress/sessiontest"
	"tensile/stress/validate"
)

func TestPlantedBugsInSessions(t *testing.T) {
	unhurried(t)
	t.Parallel()
	// Each has several clusters of processes.
	turns := make(chan struct{}, 2)
	mustBeCaughtInTurns(t, turns, "TestFaultySessions", []fault{
		{"never makes up for a loss", "sessions are not fully replicated"},
		{"claims to have made up for a loss", "read at node-"},
		{"stops when a node is lost", "no node acknowledged a write"},
		{"leaves a process behind", "did not end when it was told to"},
	}, processes)
	mustBeCaughtInTurns(t, turns, "TestFaultySessions", []fault{
		// In a sound store.
		{"ignores the time to live", ", must live for"},
		{"lets sessions expire early", "is gone at"},
		{"brings back what was deleted", "has come back"},
		{"acknowledges for a minority", "acknowledged a write of cut-off-"},
		{"loses one of a thousand", "was acknowledged"},
		{"serves what it has read before", "sessions.latest"},
		{"makes up values", "that nobody wrote"},
		{"refuses what it does", "and yet the write was done"},
		// In a store of majorities that is faulty in itself.
		{"answers reads from one replica", "sessions.latest"},
		{"acknowledges before a majority has it", "sessions.latest"},
		{"skips the write-back", "not linearizable"},
		{"votes after it has forgotten", "sessions.stale"},
	}, processes)
}

// TestPlantedSessionPrograms is for what shows only where something happens in the middle of an
// operation, or of a life.
func TestPlantedSessionPrograms(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaughtInTurns(t, make(chan struct{}, 2), "TestFaultySessions$/^programs", []fault{
		{"fixed members: refuses what may be done", "and yet the write was done"},
		{"fixed members: takes sessions over without their lives", "after its time to live was over"},
		{"fixed members: answers reads from one replica", "had acknowledged"},
		{"fixed members: acknowledges before a majority has it", "had acknowledged"},
		{"lets sessions expire early", "before its time to live is over"},
		{"brings back what was deleted", "again, after its deletion"},
	}, processes)
}

// slowToRecover is for how long a planted store serves nobody once it has lost a
// node.
const slowToRecover = 7 * time.Second

// TestPlantedSlowRecovery is for a threshold in time, which is not judged on a machine
// that is too slow for it.
func TestPlantedSlowRecovery(t *testing.T) {
	unhurried(t)
	if testing.Short() {
		t.Skip("recovery takes seven seconds")
	}
	out := t.TempDir()
	said, err := runKit("TestFaultySessions$/^(formation|kill|tries|end)$", plantedVariable+"=takes long to recover",
		"STRESS_SCALE=2000", "STRESS_OUT="+out)
	r, loadErr := report.Load(out)
	require.NoError(t, loadErr)
	for _, c := range r.Scenarios[6].Checks {
		if c.ID == "sessions.recovery" && c.Verdict == validate.NotMeasured {
			t.Skip(c.Note)
		}
	}
	assert.Error(t, err, "the kit passed")
	assert.Contains(t, said, "median time to recover must be below")
}

// TestFaultySessions is the kit over a store with the fault that is planted.
func TestFaultySessions(t *testing.T) {
	skipUnlessPlanted(t)
	sessiontest.TestStore(t, startFaultySessions)
}

func startFaultySessions(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	if isSlowPlant() {
		return &slowStore{Store: startSessions(tb, cfg)}
	}
	if name, ok := strings.CutPrefix(planted, "fixed members: "); ok {
		planted = name
		return withoutReplicated{startMajorities(tb, cfg)}
	}
	switch planted {
	case "has members that are fixed":
		return withoutReplicated{startMajorities(tb, cfg)}
	case "answers reads from one replica", "acknowledges before a majority has it", "skips the write-back",
		"votes after it has forgotten":
		return startMajorities(tb, cfg)
	case "only says that it shares":
		return onlySays{startSessions(tb, cfg)}
	}
	if strings.HasPrefix(planted, "shares a server") {
		return dialShelves(tb, cfg)
	}
	repairAfter := 250 * time.Millisecond
	if planted == "never makes up for a loss" || planted == "claims to have made up for a loss" {
		repairAfter = time.Hour
	}
	sound := startStore(tb, cfg, repairAfter)
	return &faultySessions{subjectSessions: sound, cfg: cfg, seen: make(map[string][]byte)}
}

// faultySessions is a sound store with a fault on top.
type faultySessions struct {
	subjectSessions
	cfg  sessiontest.Config
	puts atomic.Int64
	gets atomic.Int64

	mu   sync.Mutex
	seen map[string][]byte
	lost time.Time // when a member was first missed
}

func (f *faultySessions) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	n := f.puts.Add(1)
	f.halt()
	switch {
	case planted == "takes no write":
		return errors.New("no")
	case planted == "ignores the time to live":
		ttl = 0
	case planted == "lets sessions expire early":
		ttl /= 2
	case planted == "loses one of a thousand" && strings.HasSuffix(key, "777"):
		return nil
	case planted == "makes up values" && n%3 == 0:
		value = append([]byte("made up "), value...)
	}
	err := f.subjectSessions.Put(ctx, key, value, ttl)
	if planted == "acknowledges for a minority" && err != nil {
		return nil
	}
	if planted == "refuses what it does" && err == nil && n%10 == 0 && strings.HasPrefix(key, "history-") {
		return f.Errors().Refused
	}
	if planted == "brings back what was deleted" && err == nil {
		f.mu.Lock()
		f.seen[key] = value
		f.mu.Unlock()
	}
	return err
}

func (f *faultySessions) Get(ctx context.Context, key string) ([]byte, error) {
	n := f.gets.Add(1)
	f.halt()
	// Not of the first few, as below.
	if planted == "serves what it has read before" && n%10 == 0 && !strings.HasPrefix(key, "few-") {
		f.mu.Lock()
		value, ok := f.seen[key]
		f.mu.Unlock()
		if ok {
			return value, nil
		}
	}
	value, err := f.subjectSessions.Get(ctx, key)
	if planted == "serves what it has read before" && err == nil {
		f.mu.Lock()
		f.seen[key] = value
		f.mu.Unlock()
	}
	return value, err
}

func (f *faultySessions) Delete(ctx context.Context, key string) error {
	err := f.subjectSessions.Delete(ctx, key)
	f.mu.Lock()
	value, ok := f.seen[key]
	f.mu.Unlock()
	if planted == "brings back what was deleted" && ok {
		time.AfterFunc(300*time.Millisecond, func() {
			_ = f.subjectSessions.Put(context.Background(), key, value, 0)
		})
	}
	return err
}

// halt stops once a member was lost, for good or for a while.
func (f *faultySessions) halt() {
	if planted != "stops when a node is lost" && planted != "takes long to recover" {
		return
	}
	for _, m := range f.node.Members() {
		if m.State == cluster.Alive {
			continue
		}
		if planted == "stops when a node is lost" {
			select {}
		}
		f.mu.Lock()
		if f.lost.IsZero() {
			f.lost = time.Now()
		}
		until := f.lost.Add(slowToRecover)
		f.mu.Unlock()
		time.Sleep(time.Until(until))
	}
}

func (f *faultySessions) Replicated(ctx context.Context, on []string) error {
	if planted == "claims to have made up for a loss" {
		return nil
	}
	return f.subjectSessions.Replicated(ctx, on)
}

func (f *faultySessions) Close() error {
	if planted == "leaves a process behind" {
		select {}
	}
	return f.subjectSessions.Close()
}

// majorities is a store after the algorithm of Attiya, Bar-Noy and Dolev, over
// fixed replicas, with faults in itself. A node that was restarted takes over
// what the others have before it answers.
type majorities struct {
	cfg      sessiontest.Config
	listener net.Listener

	mu      sync.Mutex
	records map[string]*Record
	clients map[string]*rpc.Client
	clock   uint64

	caughtUp chan struct{} // closed once it may answer
	closed   chan struct{}
}

// Record is what a replica has of a key.
type Record struct {
	Key     string
	Counter uint64
	Writer  string
	Gone    bool
	Value   []byte
	Expires int64
}

func (r *Record) older(o *Record) bool {
	return r.Counter < o.Counter || r.Counter == o.Counter && r.Writer < o.Writer
}

var (
	errNone     = errors.New("no such session")
	errMinority = errors.New("no majority")
	errForgot   = errors.New("has forgotten everything and not caught up")
)

func startMajorities(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	m := &majorities{cfg: cfg, records: make(map[string]*Record), clients: make(map[string]*rpc.Client),
		caughtUp: make(chan struct{}), closed: make(chan struct{})}
	server := rpc.NewServer()
	if err := server.RegisterName("Replica", (*Replica)(m)); err != nil {
		tb.Fatal(err)
	}
	var err error
	if m.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		tb.Fatal(err)
	}
	go server.Accept(m.listener)
	if first := len(cfg.Seeds) <= 1; first || planted == "votes after it has forgotten" {
		close(m.caughtUp)
	} else {
		go m.catchUp()
	}
	return m
}

// catchUp takes over the records of all others.
func (m *majorities) catchUp() {
	for name := range m.cfg.Peers {
		var all []*Record
		for m.call(name, "Replica.All", "", &all) != nil {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-m.closed:
				return
			}
		}
		for _, r := range all {
			if planted == "takes sessions over without their lives" {
				r.Expires = 0
			}
			(*Replica)(m).keep(r)
		}
	}
	close(m.caughtUp)
}

// Replicated does not return before it has to where a node is missing: nothing
// makes up for that here, and what is planted is to be seen before it is.
func (m *majorities) Replicated(ctx context.Context, on []string) error {
	caughtUp := m.caughtUp
	if len(on) < len(m.cfg.Nodes) {
		caughtUp = nil
	}
	select {
	case <-caughtUp:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Replica is a node as the others call it.
type Replica majorities

// Read returns the record of a key.
func (m *Replica) Read(key string, r *Record) error {
	if !m.votes() {
		return errForgot
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := m.records[key]; have != nil {
		*r = *have
	}
	r.Key = key
	return nil
}

// Store keeps a record unless there is a newer one.
func (m *Replica) Store(r *Record, _ *Record) error {
	if !m.votes() {
		return errForgot
	}
	m.keep(r)
	return nil
}

// All returns all records.
func (m *Replica) All(_ string, all *[]*Record) error {
	if !m.votes() {
		return errForgot
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	*all = slices.Collect(maps.Values(m.records))
	return nil
}

func (m *Replica) votes() bool {
	select {
	case <-m.caughtUp:
		return true
	default:
		return false
	}
}

func (m *Replica) keep(r *Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := m.records[r.Key]; have == nil || have.older(r) {
		kept := *r
		m.records[r.Key] = &kept
	}
}

// replicas are three of the four nodes.
func (m *majorities) replicas(key string) (names []string) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	for i, name := range m.cfg.Nodes {
		if i != int(h.Sum32())%len(m.cfg.Nodes) {
			names = append(names, name)
		}
	}
	return names
}

// call calls a replica, over a connection that is dialled anew if it broke.
func (m *majorities) call(name, method string, in, out any) error {
	if name == m.cfg.Name {
		if method == "Replica.Read" {
			return (*Replica)(m).Read(in.(string), out.(*Record))
		}
		return (*Replica)(m).Store(in.(*Record), nil)
	}
	m.mu.Lock()
	c := m.clients[name]
	m.mu.Unlock()
	if c == nil {
		conn, err := net.DialTimeout("tcp", m.cfg.Peers[name], time.Second)
		if err != nil {
			return err
		}
		c = rpc.NewClient(conn)
		m.mu.Lock()
		m.clients[name] = c
		m.mu.Unlock()
	}
	err := c.Call(method, in, out)
	if err != nil {
		m.mu.Lock()
		if m.clients[name] == c {
			delete(m.clients, name)
		}
		m.mu.Unlock()
		_ = c.Close() // it is broken
	}
	return err
}

// ask calls all replicas of a key and returns once need of them have answered.
func (m *majorities) ask(ctx context.Context, key, method string, need int, in any) ([]*Record, error) {
	names := m.replicas(key)
	answers := make(chan *Record, len(names))
	for _, name := range names {
		go func() {
			out := &Record{}
			for ctx.Err() == nil {
				err := m.call(name, method, in, out)
				if err == nil {
					answers <- out
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	var got []*Record
	for len(got) < need {
		select {
		case r := <-answers:
			got = append(got, r)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %d answers", errMinority, len(got))
		}
	}
	return got, nil
}

func (m *majorities) newest(ctx context.Context, key string, need int) (r *Record, agreed bool, err error) {
	all, err := m.ask(ctx, key, "Replica.Read", need, key)
	if err != nil {
		return nil, false, err
	}
	r, agreed = all[0], true
	for _, o := range all[1:] {
		agreed = agreed && !r.older(o) && !o.older(r)
		if r.older(o) {
			r = o
		}
	}
	return r, agreed, nil
}

// write stores what is to be of a key. After the first phase an error does not
// say that nothing was written.
func (m *majorities) write(ctx context.Context, r *Record) error {
	newest, _, err := m.newest(ctx, r.Key, 2)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.clock = max(m.clock, newest.Counter) + 1
	r.Counter, r.Writer = m.clock, m.cfg.Name
	m.mu.Unlock()
	need := 2
	if planted == "acknowledges before a majority has it" && !r.Gone {
		need = 1
	}
	if _, err := m.ask(ctx, r.Key, "Replica.Store", need, r); err != nil {
		if planted == "refuses what may be done" {
			return errMinority
		}
		return errors.New("not confirmed")
	}
	return nil
}

func (m *majorities) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	r := &Record{Key: key, Value: value}
	if ttl > 0 {
		r.Expires = time.Now().Add(ttl).UnixNano()
	}
	return m.write(ctx, r)
}

func (m *majorities) Delete(ctx context.Context, key string) error {
	return m.write(ctx, &Record{Key: key, Gone: true})
}

func (m *majorities) Get(ctx context.Context, key string) ([]byte, error) {
	need := 2
	// Not of the first few, some of which are deleted: that would have another name.
	if planted == "answers reads from one replica" && !strings.HasPrefix(key, "few-") {
		need = 1
	}
	r, agreed, err := m.newest(ctx, key, need)
	if err != nil {
		return nil, err
	}
	if !agreed && planted != "skips the write-back" {
		if _, err := m.ask(ctx, key, "Replica.Store", 2, r); err != nil {
			return nil, err
		}
	}
	if r.Counter == 0 || r.Gone || r.Expires > 0 && time.Now().UnixNano() >= r.Expires {
		return nil, errNone
	}
	return r.Value, nil
}

func (m *majorities) Close() error {
	close(m.closed)
	return m.listener.Close()
}

func (*majorities) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: errNone, Refused: errMinority}
}
