package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"tensile/cluster"
	"tensile/stress/internal/proc"
)

// The shape of the inter-node scenario.
const (
	callersAtOnce = 1000
	payload       = 64
)

// caller sends a request to the other process and returns the reply.
type caller func(request []byte) ([]byte, error)

// callPeer is a way to call another process.
type callPeer struct {
	name  string
	bound bool
	lacks string
	// serve answers every request with itself, in the other process, and
	// returns its address.
	serve func() (addr string, err error)
	// dial returns what each of the callers uses, and ends what it opened.
	dial func(addr string) (each func() (caller, error), end func() error, err error)
}

const calleeRole = "callee"

func init() {
	proc.Handle(calleeRole, func(l *proc.Link) error {
		var name string
		if err := l.Config(&name); err != nil {
			return err
		}
		for _, p := range callPeers {
			if p.name == name {
				addr, err := p.serve()
				if err != nil {
					return err
				}
				return proc.Serve(l, func(json.RawMessage) (any, error) { return addr, nil })
			}
		}
		return fmt.Errorf("no server called %q", name)
	})
}

func calling() []comparison {
	c := comparison{scenario: "inter-node", unit: "calls/s", n: 200_000,
		work: fmt.Sprintf("calls of %d bytes to another process over TCP, %d callers", payload, callersAtOnce),
		why: "tensile/cluster authenticates and encrypts every frame (AES-256-GCM); the others send in the clear. In 12 " +
			"alternations with the last version that did not, a call of 64 bytes took 1.12× [1.10, 1.16] of the processor " +
			"time with 100 calls in flight, and 1.18× [1.09, 1.21] with 10,000."}
	for _, p := range callPeers {
		c.contestants = append(c.contestants, contestant{name: p.name, bound: p.bound, lacks: p.lacks, sample: p.rate})
	}
	c.contestants = append(c.contestants, contestant{name: "records of 64 bytes in batches of 64 KiB over one socket",
		bound: true, lacks: "calls", sample: socketBatches})
	return []comparison{c}
}

func (p callPeer) rate(n int) (float64, error) {
	callee, err := proc.Start(calleeRole, p.name)
	if err != nil {
		return 0, err
	}
	var addr string
	ctx, cancel := context.WithTimeout(context.Background(), natsPatience)
	defer cancel()
	if err := callee.Ask(ctx, struct{}{}, &addr); err != nil {
		return 0, errors.Join(err, callee.Close())
	}
	x, err := p.calls(addr, n)
	return x, errors.Join(err, callee.Close())
}

func (p callPeer) calls(addr string, n int) (float64, error) {
	each, end, err := p.dial(addr)
	if err != nil {
		return 0, err
	}
	callers := make([]caller, callersAtOnce)
	for i := range callers {
		if callers[i], err = each(); err != nil {
			return 0, errors.Join(err, end())
		}
	}
	x, err := perSecond(n, func() error {
		return together(callersAtOnce, n, func(worker, n int) error {
			request := make([]byte, payload)
			return repeat(n, func(i int) error {
				binary.BigEndian.PutUint64(request, uint64(worker)<<32|uint64(i))
				reply, err := callers[worker](request)
				if err == nil && !bytes.Equal(reply, request) {
					err = fmt.Errorf("%s: call %d of caller %d got the reply %x", p.name, i, worker, reply)
				}
				return err
			})
		})
	})
	return x, errors.Join(err, end())
}

// shared is for peers whose callers all use the same.
func shared(c caller) func() (caller, error) { return func() (caller, error) { return c, nil } }

var callPeers = []callPeer{
	{name: "tensile/cluster", serve: func() (string, error) {
		node, err := startNode("callee", func(r cluster.Request) { _ = r.Reply(r.Body) })
		if err != nil {
			return "", err
		}
		return node.Addr(), nil
	}, dial: func(addr string) (func() (caller, error), func() error, error) {
		node, err := startNode("caller", nil, addr)
		if err != nil {
			return nil, nil, err
		}
		return shared(func(request []byte) ([]byte, error) {
			return node.Call(context.Background(), "callee", request)
		}), node.Close, nil
	}},
	{name: "gRPC, unary", lacks: "authentication, encryption, membership",
		serve: serveGRPC, dial: func(addr string) (func() (caller, error), func() error, error) {
			conn, err := dialGRPC(addr)
			if err != nil {
				return nil, nil, err
			}
			return shared(func(request []byte) ([]byte, error) {
				var reply []byte
				return reply, conn.Invoke(context.Background(), "/echo/Call", &request, &reply)
			}), conn.Close, nil
		}},
	{name: "gRPC, a stream for each caller", lacks: "authentication, encryption, membership",
		serve: serveGRPC, dial: func(addr string) (func() (caller, error), func() error, error) {
			conn, err := dialGRPC(addr)
			if err != nil {
				return nil, nil, err
			}
			return func() (caller, error) {
				stream, err := conn.NewStream(context.Background(), &echoService.Streams[0], "/echo/Stream")
				return func(request []byte) ([]byte, error) {
					var reply []byte
					return reply, errors.Join(stream.SendMsg(&request), stream.RecvMsg(&reply))
				}, err
			}, conn.Close, nil
		}},
	{name: "net/rpc", lacks: "authentication, encryption, membership, bounded buffers", serve: func() (string, error) {
		s := rpc.NewServer()
		if err := s.Register(new(Echo)); err != nil {
			return "", err
		}
		return listen(s.Accept)
	}, dial: func(addr string) (func() (caller, error), func() error, error) {
		client, err := rpc.Dial("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		return shared(func(request []byte) (reply []byte, err error) {
			return reply, client.Call("Echo.Call", request, &reply)
		}), client.Close, nil
	}},
	{name: "yamux, a stream for each caller", lacks: "authentication, encryption, membership, calls: it has streams",
		serve: func() (string, error) {
			return listen(func(l net.Listener) {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					session, err := yamux.Server(c, quietYamux())
					if err != nil {
						return
					}
					go func() {
						for {
							s, err := session.Accept()
							if err != nil {
								return
							}
							go func() {
								_, _ = io.Copy(s, s)
								_ = s.Close() // its other end sees what was wrong
							}()
						}
					}()
				}
			})
		}, dial: func(addr string) (func() (caller, error), func() error, error) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return nil, nil, err
			}
			session, err := yamux.Client(c, quietYamux())
			if err != nil {
				return nil, nil, err
			}
			var mu sync.Mutex
			var streams []net.Conn
			return func() (caller, error) {
					s, err := session.Open()
					if err != nil {
						return nil, err
					}
					mu.Lock()
					streams = append(streams, s)
					mu.Unlock()
					reply := make([]byte, payload)
					return func(request []byte) ([]byte, error) {
						if _, err := s.Write(request); err != nil {
							return nil, err
						}
						_, err := io.ReadFull(s, reply)
						return reply, err
					}, nil
				}, func() error {
					// A session that ends under a thousand streams has each of them look for a
					// processor at its other end, which does not get to end itself for seconds.
					for _, s := range streams {
						_ = s.Close() // the reads say so
					}
					for _, s := range streams {
						if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
							return errors.Join(fmt.Errorf("yamux: a stream that was closed: %w", err), session.Close())
						}
					}
					return session.Close()
				}, nil
		}},
	{name: "NATS core, request and reply",
		lacks: "authentication, encryption, a connection between the two: there is a server",
		serve: func() (string, error) {
			s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
			if err != nil {
				return "", err
			}
			s.Start()
			if !s.ReadyForConnections(natsPatience) {
				return "", errors.New("nats: the server does not start")
			}
			nc, err := nats.Connect("", nats.InProcessServer(s))
			if err != nil {
				return "", err
			}
			_, err = nc.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
			return s.ClientURL(), errors.Join(err, nc.Flush())
		}, dial: func(addr string) (func() (caller, error), func() error, error) {
			nc, err := nats.Connect(addr)
			if err != nil {
				return nil, nil, err
			}
			return shared(func(request []byte) ([]byte, error) {
				m, err := nc.Request("echo", request, natsPatience)
				if err != nil {
					return nil, err
				}
				return m.Data, nil
			}), func() error { nc.Close(); return nil }, nil
		}},
}

var comparisonSecret = []byte("the secret of the comparison, in all its processes")

func startNode(name string, handle cluster.Handler, seeds ...string) (*cluster.Node, error) {
	ctx, cancel := context.WithTimeout(context.Background(), natsPatience)
	defer cancel()
	return cluster.Start(ctx, cluster.Config{Name: name, Bind: "127.0.0.1:0", Seeds: seeds,
		Secret: comparisonSecret, Handler: handle})
}

// listen has serve take the connections to a free port.
func listen(serve func(net.Listener)) (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go serve(l)
	return l.Addr().String(), nil
}

// Echo is the service of net/rpc, which wants exported names.
type Echo struct{}

// Call returns the request.
func (*Echo) Call(request []byte, reply *[]byte) error {
	*reply = request
	return nil
}

// plainCodec passes bytes on: so gRPC is not charged for an encoding that the
// others do not have.
type plainCodec struct{}

func (plainCodec) Name() string                  { return "plain" }
func (plainCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (plainCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data) // gRPC uses its buffer again
	return nil
}

var echoService = grpc.ServiceDesc{ServiceName: "echo", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Call",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var request []byte
			return &request, decode(&request)
		}}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				var request []byte
				if err := s.RecvMsg(&request); err != nil {
					return nil // the caller is done
				}
				if err := s.SendMsg(&request); err != nil {
					return err
				}
			}
		}}},
}

func serveGRPC() (string, error) {
	s := grpc.NewServer(grpc.ForceServerCodec(plainCodec{}))
	s.RegisterService(&echoService, struct{}{})
	return listen(func(l net.Listener) { _ = s.Serve(l) })
}

func dialGRPC(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plainCodec{})))
}

func quietYamux() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	c.AcceptBacklog = callersAtOnce
	return c
}

// socketBatches sends records back and forth as fast as one connection takes
// them.
func socketBatches(n int) (float64, error) {
	addr, err := listen(func(l net.Listener) {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 64<<10))
		_ = errors.Join(c.Close(), l.Close()) // the other side is done
	})
	if err != nil {
		return 0, err
	}
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	return perSecond(n, func() error {
		total := n * payload
		sent := make(chan error, 1)
		go func() {
			batch := make([]byte, 64<<10)
			for left := total; left > 0; left -= len(batch) {
				if _, err := c.Write(batch[:min(left, len(batch))]); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		_, err := io.CopyN(io.Discard, c, int64(total))
		return errors.Join(err, <-sent)
	})
}
