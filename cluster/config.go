package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// Config is what a node is started with. Name, Bind and Secret are required.
type Config struct {
	// Name is the node's own, unique in the cluster: 1 to 64 printable
	// characters without space, '#' and '/'.
	Name string
	// Bind is the IP address and port for connections (TCP) and gossip (UDP).
	// Port 0 takes a free one.
	Bind string
	// Advertise is the address at which the others reach this node; it is Bind
	// where that is left empty.
	Advertise string
	// Seeds are addresses of nodes that are members already. One that answers is
	// enough; none makes this node the first.
	Seeds []string
	// Secret is shared by all nodes: 32 random bytes or more, as NewSecret makes
	// them. A password is none: one who has recorded a handshake may try them all.
	Secret []byte
	// AcceptedSecrets are accepted of others beside Secret. To replace a secret,
	// restart the nodes, one by one, three times: with the new one accepted; with
	// the new one as Secret, and the old one accepted; without the old one.
	AcceptedSecrets [][]byte
	// Handler is called with requests and one-way messages. Without one they are
	// refused.
	Handler Handler

	// TLS has connections, which are encrypted and authenticated anyway, go through
	// TLS 1.3 beside that, for those who are asked for it. Its keys are made at the
	// start and authenticated by the secret. All nodes must agree.
	TLS bool
	// Window bounds what may be on the way to one member, in bytes: unanswered
	// calls, and unsent messages. 0 means 4 MiB. It is at least MaxMessage.
	Window int
	// MaxMessage bounds a request, a reply or a message, in bytes. 0 means 1 MiB.
	// All nodes must agree.
	MaxMessage int
	// CallTimeout bounds every call, Send and Reply, whatever its context, with
	// the waiting for room in the window. 0 means 10 s. It is kept to within 50 ms
	// of the time in which this process runs.
	CallTimeout time.Duration

	// Dial, if set, opens connections in place of a net.Dialer: those for calls,
	// and those for gossip. The name of a seed is not known yet.
	Dial func(ctx context.Context, to Member) (net.Conn, error)
	// Datagram, if set, is asked before each packet of gossip whether it may go
	// out. The name is empty if it is not known.
	Datagram func(to Member) bool

	// Log takes what happens, for people. nil discards it.
	Log *slog.Logger
}

const (
	defaultWindow      = 4 << 20
	defaultMaxMessage  = 1 << 20
	mostMaxMessage     = 1 << 30
	defaultCallTimeout = 10 * time.Second
	maxName            = 64
)

// withDefaults fills in what is left out and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if err := checkName(c.Name); err != nil {
		return c, err
	}
	bind, err := netip.ParseAddrPort(c.Bind)
	if err != nil {
		return c, fmt.Errorf("%w: Bind %q, must be an IP address with a port, such as 127.0.0.1:0", ErrConfig, c.Bind)
	}
	switch advertise, err := netip.ParseAddrPort(c.Advertise); {
	case c.Advertise == "" && bind.Addr().IsUnspecified():
		return c, fmt.Errorf("%w: Advertise is required where Bind %q is no address of its own", ErrConfig, c.Bind)
	case c.Advertise != "" && (err != nil || advertise.Port() == 0 || advertise.Addr().IsUnspecified()):
		return c, fmt.Errorf("%w: Advertise %q, must be an IP address with a port", ErrConfig, c.Advertise)
	}
	for _, s := range c.Seeds {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return c, fmt.Errorf("%w: seed %q, must be host:port", ErrConfig, s)
		}
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = defaultMaxMessage
	}
	if c.MaxMessage < 1 || c.MaxMessage > mostMaxMessage {
		return c, fmt.Errorf("%w: MaxMessage %d, must be 1 to %d", ErrConfig, c.MaxMessage, mostMaxMessage)
	}
	if c.Window == 0 {
		c.Window = max(defaultWindow, c.MaxMessage)
	}
	if c.Window < c.MaxMessage {
		return c, fmt.Errorf("%w: Window %d, must be MaxMessage (%d) or more", ErrConfig, c.Window, c.MaxMessage)
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = defaultCallTimeout
	}
	if c.CallTimeout < 0 {
		return c, fmt.Errorf("%w: CallTimeout %v, must be above 0", ErrConfig, c.CallTimeout)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, to Member) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", to.Addr)
		}
	}
	return c, nil
}

func checkName(name string) error {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) || r == '#' || r == '/' }
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%w: Name %q, must be 1 to %d printable characters without space, '#' and '/'",
			ErrConfig, name, maxName)
	}
	return nil
}
