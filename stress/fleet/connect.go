package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"
)

// pace is how fast silence is noticed.
type pace struct {
	beat    time.Duration // between two questions to an agent at work
	try     time.Duration // for one answer
	gone    time.Duration // that the server knows nobody of the name: it may reconnect
	silence time.Duration // without an answer
}

var usualPace = pace{beat: 250 * time.Millisecond, try: time.Second, gone: time.Second, silence: 10 * time.Second}

const (
	connecting   = 5 * time.Second  // for one try to connect to the server
	reachable    = 10 * time.Second // for all of them
	reconnecting = 100 * time.Millisecond
	// leastPayload is what the server must let through in one message.
	leastPayload = 4096
)

// connect opens a connection that comes back by itself. The server may be busy, or
// about to start; one that knows no such user will not know him later.
func connect(ctx context.Context, server, name string) (*nats.Conn, error) {
	var nc *nats.Conn
	for began := time.Now(); ; {
		var err error
		nc, err = nats.Connect(server, nats.Name("tensile fleet "+name), nats.Timeout(connecting),
			nats.ReconnectWait(reconnecting), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // what is lost is asked for again
		if err == nil {
			break
		}
		if errors.Is(err, nats.ErrAuthorization) || time.Since(began) > reachable {
			return nil, fmt.Errorf("%w at %s: %w", ErrServer, withoutSecrets(server), err)
		}
		if cause := sleep(ctx, reconnecting); cause != nil {
			return nil, cause
		}
	}
	if most := nc.MaxPayload(); most < leastPayload {
		nc.Close()
		return nil, fmt.Errorf("%w at %s: it takes messages of %d bytes, must be %d or more",
			ErrServer, withoutSecrets(server), most, leastPayload)
	}
	return nc, nil
}

// withoutSecrets is the URL of a server as it may be shown.
func withoutSecrets(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "an address that is no URL"
	}
	u.User = nil
	return u.String()
}

// reach asks again and again until there is an answer. It gives up, with ErrLost,
// on who is unknown to the server or silent for too long.
func (p pace) reach(ctx context.Context, nc *nats.Conn, subject string, message []byte) (*nats.Msg, error) {
	began, known := time.Now(), time.Now()
	for {
		try, cancel := context.WithTimeout(ctx, p.try)
		msg, err := nc.RequestWithContext(try, subject, message)
		cancel()
		if err == nil {
			return msg, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, nats.ErrNoResponders) {
			known = time.Now()
		}
		if time.Since(known) > p.gone {
			return nil, fmt.Errorf("%w: it is no longer connected to the server", ErrLost)
		}
		if time.Since(began) > p.silence {
			return nil, fmt.Errorf("%w: it said nothing for %v (%w)", ErrLost, p.silence, err)
		}
		if err := sleep(ctx, reconnecting); err != nil {
			return nil, err
		}
	}
}
