// Package sessions keeps the logins of users on the nodes of a cluster. They survive the
// loss of one node.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"tensile/cluster"
	"tensile/cluster/session"
)

// Errors of a Logins.
var (
	ErrNone    = errors.New("sessions: nobody is logged in there")
	ErrRefused = errors.New("sessions: too few nodes answer, nothing was done")
)

// Config configures a node.
type Config struct {
	Name   string
	Nodes  []string // names of all nodes
	Listen string
	Seeds  []string // addresses of nodes that run already
	Secret []byte
	// Dial connects to another node; addr is the address that it announces.
	Dial func(ctx context.Context, name, addr string) (net.Conn, error)
	// Reachable reports whether a datagram may be sent to a node; nil means always.
	Reachable func(name string) bool
}

// Logins is one node. It is safe for concurrent use.
type Logins struct {
	node  *cluster.Node
	store *session.Store
}

// Open starts a node.
func Open(ctx context.Context, cfg Config) (*Logins, error) {
	store, err := session.New(session.Config{Name: cfg.Name, Nodes: cfg.Nodes})
	if err != nil {
		return nil, err
	}
	own := cluster.Config{
		Name: cfg.Name, Bind: cfg.Listen, Seeds: cfg.Seeds, Secret: cfg.Secret, Handler: store.Serve,
		Dial: func(ctx context.Context, to cluster.Member) (net.Conn, error) { return cfg.Dial(ctx, to.Name, to.Addr) },
	}
	if cfg.Reachable != nil {
		own.Datagram = func(to cluster.Member) bool { return cfg.Reachable(to.Name) }
	}
	node, err := cluster.Start(ctx, own)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	store.Start(session.Over(node))
	return &Logins{node, store}, nil
}

// Put logs a user in for a while, or forever if that is 0. Once it has returned nil, the
// login survives the loss of any one node.
func (l *Logins) Put(ctx context.Context, user string, login []byte, lives time.Duration) error {
	_, err := l.store.Put(ctx, user, login, lives)
	return own(err)
}

// Get returns the login of a user.
func (l *Logins) Get(ctx context.Context, user string) ([]byte, error) {
	found, err := l.store.Get(ctx, user)
	return found.Value, own(err)
}

// Delete logs a user out.
func (l *Logins) Delete(ctx context.Context, user string) error {
	_, err := l.store.Delete(ctx, user)
	return own(err)
}

// Replicated waits until all logins have their copies on the given nodes.
func (l *Logins) Replicated(ctx context.Context, on []string) error {
	return l.store.Replicated(ctx, on...)
}

// Close ends the node.
func (l *Logins) Close() error { return errors.Join(l.store.Close(), l.node.Close()) }

// own translates an error of the store into one of this package. An error after which the
// operation may or may not have been done stays as it is.
func own(err error) error {
	switch {
	case errors.Is(err, session.ErrNotFound):
		return ErrNone
	case errors.Is(err, session.ErrNoQuorum):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
