package nats

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tensile/stress/clustertest"
	"tensile/stress/node"
	"tensile/stress/transporttest"
)

func TestStressCluster(t *testing.T) {
	chosen(t)
	clustertest.TestCluster(t, startNode)
}

func TestStressTransport(t *testing.T) {
	chosen(t)
	transporttest.TestTransport(t, startNode)
}

func BenchmarkTransport(b *testing.B) { transporttest.BenchmarkTransport(b, startNode) }

// peer is a nats-server of a cluster, and a client of it in the same process.
//
// Members are the servers to which there is a route. NATS calls nobody dead: one
// whose route is gone is failed here once its address refuses, or when no route
// has come back within [suspicion]. It has left if its server said goodbye.
type peer struct {
	cfg    node.Config
	server *server.Server
	nc     *nats.Conn // of this node's account
	system *nats.Conn // hears servers say goodbye
	calls  *calls

	mu      sync.Mutex
	members map[string]*member
	closing chan struct{}
	watched sync.WaitGroup
}

type member struct {
	id, addr string // of its server, and where it takes routes
	state    node.State
	lost     time.Time // since when there is no route; zero while there is one
	greeting bool
}

var (
	errUnauthenticated = errors.New("nats: authorization violation")
	errNameTaken       = errors.New("nats: the name is taken")
	errAddressTaken    = errors.New("nats: the address is taken")
)

const (
	clusterName = "tensile"
	// pings of routes: a server that is stopped is missed after four.
	pingEvery, pingsOut = 250 * time.Millisecond, 3
	// suspicion is how long a route may be gone: NATS tries again every second.
	suspicion  = 3 * time.Second
	watchEvery = 5 * time.Millisecond
)

func startNode(_ testing.TB, cfg node.Config) (node.Node, error) {
	n := &peer{cfg: cfg, members: make(map[string]*member), closing: make(chan struct{})}
	said, err := n.serve()
	if err != nil {
		return nil, err
	}
	if err := n.speak(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.watched.Go(n.watch)
	if err := n.joined(said); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *peer) Errors() node.Errors {
	return node.Errors{
		Unauthenticated: errUnauthenticated, NameTaken: errNameTaken, AddressTaken: errAddressTaken,
		Unreachable: errUnreachable,
	}
}

// serve starts the server.
func (n *peer) serve() (*log, error) {
	secret := hex.EncodeToString(n.cfg.Secret)
	o, err := clusterOptions(n.cfg.Name, n.cfg.Bind, secret)
	if err != nil {
		return nil, err
	}
	for _, seed := range n.cfg.Seeds {
		o.Routes = append(o.Routes, route(seed, secret))
	}
	system, app := server.NewAccount("SYS"), server.NewAccount("APP")
	o.SystemAccount, o.Accounts = "SYS", []*server.Account{system, app}
	o.Users = []*server.User{
		{Username: "system", Password: secret, Account: system}, {Username: "app", Password: secret, Account: app},
	}
	s, said, err := startLogged(o)
	switch {
	case err != nil && said.has("address already in use"):
		return nil, fmt.Errorf("%w: %w", errAddressTaken, err)
	case err != nil:
		return nil, err
	}
	n.server = s
	connected := func(user string) (*nats.Conn, error) {
		return nats.Connect(s.ClientURL(), nats.UserInfo(user, secret), nats.Timeout(patience))
	}
	if n.nc, err = connected("app"); err == nil {
		n.system, err = connected("system")
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return said, nil
}

// clusterOptions are those of a server that takes routes at an address, whose port
// may be 0. It listens for clients too, where a route is not taken otherwise.
func clusterOptions(name, bind, secret string) (*server.Options, error) {
	host, text, err := net.SplitHostPort(bind)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	return &server.Options{ServerName: name, Host: host, Port: server.RANDOM_PORT, MaxPingsOut: pingsOut,
		Cluster: server.ClusterOpts{
			Name: clusterName, Host: host, Port: cmp.Or(port, server.RANDOM_PORT), Username: "route", Password: secret,
			PoolSize: -1, PingInterval: pingEvery, MaxPingsOut: pingsOut, ConnectRetries: 3,
		}}, nil
}

func route(addr, secret string) *url.URL {
	return &url.URL{Scheme: "nats-route", Host: addr, User: url.UserPassword("route", secret)}
}

// speak makes the node heard, before anybody can know of it.
func (n *peer) speak() (err error) {
	if n.calls, err = newCalls(n.nc, n.cfg, n.Addr()); err != nil {
		return err
	}
	_, err = n.system.Subscribe("$SYS.SERVER.*.SHUTDOWN", func(m *nats.Msg) {
		n.left(strings.Split(m.Subject, ".")[2])
	})
	return errors.Join(err, n.nc.Flush(), n.system.Flush())
}

// joined waits until a node that has seeds has found a member.
func (n *peer) joined(said *log) error {
	late := time.After(patience / 2)
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	for len(n.cfg.Seeds) > 0 {
		switch {
		case said.has("Authorization Violation"):
			return errUnauthenticated
		case said.has("duplicate name"):
			return fmt.Errorf("%w: %s", errNameTaken, n.cfg.Name)
		}
		for _, m := range n.Members() {
			if m.State == node.Alive {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-late:
			return fmt.Errorf("nats: no route to %v: %s", n.cfg.Seeds, said)
		}
	}
	return nil
}

// watch follows the routes.
func (n *peer) watch() {
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	for {
		routes, err := n.server.Routez(nil)
		if err != nil {
			return
		}
		n.follow(routes.Routes)
		select {
		case <-look.C:
		case <-n.closing:
			return
		}
	}
}

func (n *peer) follow(routes []*server.RouteInfo) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there := make(map[string][]string) // IDs of servers by name: one that takes another's is there for a moment
	for _, r := range routes {
		there[r.RemoteName] = append(there[r.RemoteName], r.RemoteID)
	}
	for name, ids := range there {
		m := n.members[name]
		if m == nil {
			m = new(member)
			n.members[name] = m
		}
		m.lost = time.Time{}
		if (m.state != node.Alive || !slices.Contains(ids, m.id)) && !m.greeting {
			m.greeting = true
			n.watched.Go(func() { n.greet(name, ids[0]) })
		}
	}
	for name, m := range n.members {
		if there[name] != nil || m.state != node.Alive {
			continue
		}
		if m.lost.IsZero() {
			m.lost = time.Now()
			n.watched.Go(func() { n.doubt(name, m.id, m.addr) })
		}
		if time.Since(m.lost) > suspicion {
			n.fail(m, name)
		}
	}
}

// greet asks a server for its address. What is asked and answered goes both ways:
// from then on calls do.
func (n *peer) greet(name, id string) {
	addr, err := n.calls.hello(name)
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[name]
	m.greeting = false
	if err == nil && m.lost.IsZero() {
		m.id, m.addr, m.state = id, addr, node.Alive
	}
}

// doubt dials a server whose route is gone: one that refuses has no process.
func (n *peer) doubt(name, id, addr string) {
	c, err := net.DialTimeout("tcp", addr, suspicion)
	if err == nil {
		_ = c.Close()
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[name]; m.id == id && !m.lost.IsZero() && m.state == node.Alive {
		n.fail(m, name)
	}
}

// fail is called with the lock held.
func (n *peer) fail(m *member, name string) {
	m.state = node.Failed
	n.calls.end(name)
}

// left takes a server's word that it goes.
func (n *peer) left(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, m := range n.members {
		if m.id == id {
			m.state = node.Left
			n.calls.end(name)
		}
	}
}

func (n *peer) Members() (all []node.Member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, m := range n.members {
		if m.state != "" {
			all = append(all, node.Member{Name: name, State: m.state})
		}
	}
	return all
}

func (n *peer) alive(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[name]
	return m != nil && m.state == node.Alive
}

func (n *peer) Addr() string { return n.server.ClusterAddr().String() }

func (n *peer) Call(to string, request []byte, done func([]byte, error)) {
	if !n.alive(to) {
		done(nil, fmt.Errorf("%w: %s is no member that is alive", errUnreachable, to))
		return
	}
	n.calls.call(kindCall, to, request, done)
}

// Send is a call whose reply says that the message was handed over: it is by
// replies that no more is in flight to a member than its window has room for.
func (n *peer) Send(to string, message []byte) error {
	if !n.alive(to) {
		return fmt.Errorf("%w: %s is no member that is alive", errUnreachable, to)
	}
	n.calls.call(kindSend, to, message, func([]byte, error) {})
	return nil
}

// Leave is what a server does that is told to shut down: it says so first.
func (n *peer) Leave(context.Context) error { return n.Close() }

func (n *peer) Close() error {
	select {
	case <-n.closing:
		return nil
	default:
		close(n.closing)
	}
	if n.calls != nil {
		n.calls.close()
	}
	n.watched.Wait()
	for _, c := range []*nats.Conn{n.nc, n.system} {
		if c != nil {
			c.Close()
		}
	}
	stop(n.server)
	return nil
}
