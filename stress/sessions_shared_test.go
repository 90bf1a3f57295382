package stress_test

import (
	"context"
	"net"
	"net/rpc"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/sessiontest"
	"tensile/stress/validate"
)

// serverVariable is the address of the server that nodes of planted stores share.
const serverVariable = "TENSILE_SERVER"

// TestSharedSessions: what a subject does not have is "not offered", and all else
// is judged.
func TestSharedSessions(t *testing.T) {
	unhurried(t)
	t.Parallel()
	server := serverVariable + "=" + serveShelves(t)
	for name, lacks := range map[string][]string{
		"shares a server":            {"restored", "replication", "minority"},
		"has members that are fixed": {"restored", "replication"},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes a process of its own")
			}
			out := t.TempDir()
			said, _ := runKit("TestFaultySessions", plantedVariable+"="+name, server, "STRESS_SCALE=2000",
				processes, "STRESS_OUT="+out)
			r, err := report.Load(out)
			require.NoError(t, err, said)
			nothingButSlow(t, r)
			var left []string
			for _, c := range r.Scenarios[6].Checks {
				if c.Verdict == validate.NotOffered {
					left = append(left, strings.TrimPrefix(c.ID, validate.Sessions+"."))
				} else if !c.InTime() {
					assert.NotEqual(t, validate.NotMeasured, c.Verdict, c.String())
				}
			}
			assert.Equal(t, lacks, left)
		})
	}
}

func TestPlantedBugsInSharedSessions(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultySessions", []fault{
		{"shares a server, and loses one of a thousand", "was acknowledged"},
		{"shares a server, and serves what it has read before", "sessions.latest"},
		{"shares a server, and serves what it has written itself", "sessions.latest"},
		{"shares a server, and ignores the time to live", ", must live for"},
		{"shares a server, and brings back what was deleted", "sessions.deleted"},
		{"shares a server, and acknowledges before it writes", "not linearizable"},
		{"only says that it shares", "does not take a write"},
	}, processes, serverVariable+"="+serveShelves(t))
}

// withoutReplicated is a store that makes up for no loss.
type withoutReplicated struct{ sessiontest.Store }

// onlySays is a replicated store that says of itself that its nodes share.
type onlySays struct{ sessiontest.Store }

func (onlySays) Shared() {}

// Shelves is the server that nodes share: sessions in memory, those of each
// cluster under its secret.
type Shelves struct {
	mu      sync.Mutex
	records map[string]Record
}

// serveShelves serves until the test is over.
func serveShelves(t *testing.T) (addr string) {
	server := rpc.NewServer()
	require.NoError(t, server.Register(&Shelves{records: make(map[string]Record)}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Accept(listener)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// Put keeps a record in place of the one before.
func (s *Shelves) Put(r Record, _ *Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[r.Key] = r
	return nil
}

// Get returns the record of a key, which may be gone.
func (s *Shelves) Get(key string, r *Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*r = Record{Key: key, Gone: true}
	if kept, ok := s.records[key]; ok && (kept.Expires == 0 || time.Now().UnixNano() < kept.Expires) {
		*r = kept
	}
	return nil
}

// shelfSessions is a node that keeps nothing, beside what its fault has it keep.
type shelfSessions struct {
	server  *rpc.Client
	cluster string
	fault   string

	mu   sync.Mutex
	seen map[string][]byte
}

func dialShelves(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	server, err := rpc.Dial("tcp", os.Getenv(serverVariable))
	if err != nil {
		tb.Fatal(err)
	}
	_, fault, _ := strings.Cut(planted, ", and ")
	return &shelfSessions{server: server, cluster: string(cfg.Secret), fault: fault, seen: make(map[string][]byte)}
}

func (*shelfSessions) Shared() {}

func (s *shelfSessions) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	r := Record{Key: s.cluster + key, Value: value}
	if ttl > 0 && s.fault != "ignores the time to live" {
		r.Expires = time.Now().Add(ttl).UnixNano()
	}
	switch {
	case s.fault == "loses one of a thousand" && strings.HasSuffix(key, "777"):
		return nil
	case s.fault == "serves what it has written itself" && !strings.HasPrefix(key, "few-"):
		s.see(key, value)
	case s.fault == "acknowledges before it writes" && strings.HasPrefix(key, "history-"):
		time.AfterFunc(50*time.Millisecond, func() { _ = s.call(context.Background(), "Put", r, nil) })
		return nil
	}
	return s.call(ctx, "Put", r, nil)
}

func (s *shelfSessions) Get(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	seen, ok := s.seen[key]
	s.mu.Unlock()
	if ok {
		return seen, nil
	}
	var r Record
	if err := s.call(ctx, "Get", s.cluster+key, &r); err != nil {
		return nil, err
	}
	if r.Gone {
		return nil, errNone
	}
	if s.fault == "serves what it has read before" {
		s.see(key, r.Value)
	}
	return r.Value, nil
}

func (s *shelfSessions) Delete(ctx context.Context, key string) error {
	var kept Record
	if s.fault == "brings back what was deleted" && s.call(ctx, "Get", s.cluster+key, &kept) == nil && !kept.Gone {
		time.AfterFunc(300*time.Millisecond, func() { _ = s.call(context.Background(), "Put", kept, nil) })
	}
	return s.call(ctx, "Put", Record{Key: s.cluster + key, Gone: true}, nil)
}

// call gives up with its context; what was sent may have its effect even so.
func (s *shelfSessions) call(ctx context.Context, method string, in, out any) error {
	select {
	case c := <-s.server.Go("Shelves."+method, in, out, make(chan *rpc.Call, 1)).Done:
		return c.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shelfSessions) see(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[key] = value
}

func (s *shelfSessions) Close() error { return s.server.Close() }

func (*shelfSessions) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: errNone}
}
