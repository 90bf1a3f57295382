package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hashicorp/memberlist"
)

// join makes the node a member: a seed is greeted first, since a wrong secret
// or a name that is taken shows there; then gossip begins.
func (n *Node) join(ctx context.Context) error {
	n.wg.Go(n.accept)
	seed, err := n.greetSeeds(ctx)
	if err != nil {
		return err
	}
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = gossipName(n.cfg.Name, n.incarnation.Load())
	cfg.Transport = n.gossip
	cfg.Events = n.gossip
	cfg.Logger = slog.NewLogLogger(n.cfg.Log.Handler(), slog.LevelDebug)
	cfg.TCPTimeout = handshakeTimeout
	// News must be fast. Death is our own part: gossip's view of it only sees to
	// it that nobody is told of the dead forever, so its probes are short, which
	// lets them end with the node, and its suspicions long.
	cfg.GossipInterval = 20 * time.Millisecond
	cfg.PushPullInterval = 10 * time.Second
	cfg.ProbeInterval, cfg.ProbeTimeout = 250*time.Millisecond, 100*time.Millisecond
	cfg.AwarenessMaxMultiplier = 1
	cfg.SuspicionMult, cfg.SuspicionMaxTimeoutMult = 20, 2 // 5 to 10 s
	cfg.DisableTcpPings = true
	others := make([][]byte, len(n.ring))
	for i, k := range n.ring {
		others[i] = k.gossip
	}
	if cfg.Keyring, err = memberlist.NewKeyring(others, others[0]); err != nil {
		return fmt.Errorf("cluster: gossip: %w", err)
	}
	list, err := memberlist.Create(cfg)
	if err != nil {
		return fmt.Errorf("cluster: gossip: %w", err)
	}
	n.mu.Lock()
	n.list = list
	ended := n.err
	n.mu.Unlock()
	if ended != nil {
		_ = list.Shutdown() // who ended the node did not see it
		return ended
	}
	if seed == "" {
		return nil
	}
	for {
		if _, err = list.Join([]string{seed}); err == nil {
			return nil
		}
		select {
		case <-time.After(seedPause):
		case <-n.ctx.Done():
			return n.Err()
		case <-ctx.Done():
			return fmt.Errorf("%w: gossip with the seed %s: %w, the last time: %w", ErrUnreachable, seed, ctx.Err(), err)
		}
	}
}

// seedPause is between two rounds over all seeds.
const seedPause = 20 * time.Millisecond

// greetSeeds connects to the first seed that answers, and returns its address.
// It returns none if there is no seed but this node itself. One that has another
// secret is passed over: only if that is all there is to be found, is it an error.
func (n *Node) greetSeeds(ctx context.Context) (string, error) {
	if len(n.cfg.Seeds) == 0 {
		return "", nil
	}
	for {
		var last, stranger error
		others := 0
		for _, addr := range n.cfg.Seeds {
			l, v, err := n.greetSeed(ctx, addr)
			switch {
			case errors.Is(err, ErrUnauthenticated):
				stranger = err
			case err != nil:
				others++
				last = err
			case v.code == isSelf:
			case v.code == nameTaken:
				return "", n.nameTaken(addr)
			case v.code != welcome:
				others++
				last = fmt.Errorf("seed %s gave verdict %d", addr, v.code)
			default:
				n.adopt(v.self, l)
				return addr, nil
			}
		}
		if others == 0 {
			return "", stranger
		}
		select {
		case <-time.After(seedPause):
		case <-ctx.Done():
			return "", fmt.Errorf("%w: no seed of %q answered: %w, the last with: %w",
				ErrUnreachable, n.cfg.Seeds, ctx.Err(), errors.Join(last, stranger))
		}
	}
}

// greetSeed dials a seed, again if it knows a later incarnation of this node: the
// clock of this machine is then behind that of an earlier life.
func (n *Node) greetSeed(ctx context.Context, addr string) (*link, verdict, error) {
	l, v, err := n.dial(ctx, Member{Addr: addr}, identity{})
	if err == nil && v.code == superseded {
		n.incarnation.Store(v.known + 1)
		l, v, err = n.dial(ctx, Member{Addr: addr}, identity{})
	}
	return l, v, err
}

func (n *Node) nameTaken(by string) error {
	return fmt.Errorf("%w: %q, says the member at %s", ErrNameTaken, n.cfg.Name, by)
}
