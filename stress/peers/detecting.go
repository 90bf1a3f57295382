package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"tensile/cluster"
	"tensile/stress/internal/proc"
)

// survivors is the number of nodes that must know of a death.
const survivors = 3

// detector is a way to learn that another process has died.
type detector struct {
	name  string
	bound bool
	lacks string
	// live is the life of the process that is killed; it returns its address.
	live func() (addr string, err error)
	// watch is a survivor: it joins, and calls died once the other is known to
	// be dead. It returns when it knows all others.
	watch func(name, addr string, died func()) (end func() error, err error)
}

const victimRole = "victim"

func init() {
	proc.Handle(victimRole, func(l *proc.Link) error {
		var name string
		if err := l.Config(&name); err != nil {
			return err
		}
		for _, d := range detectors {
			if d.name == name {
				addr, err := d.live()
				if err != nil {
					return err
				}
				return proc.Serve(l, func(json.RawMessage) (any, error) { return addr, nil })
			}
		}
		return fmt.Errorf("no detector called %q", name)
	})
}

func detecting() []comparison {
	c := comparison{scenario: "detection", unit: "ms", lower: true, n: 1,
		work: fmt.Sprintf("from SIGKILL of a process until %d others know of it", survivors)}
	for _, d := range detectors {
		c.contestants = append(c.contestants, contestant{name: d.name, bound: d.bound, lacks: d.lacks,
			sample: func(int) (float64, error) { return d.detect() }})
	}
	return []comparison{c}
}

func (d detector) detect() (ms float64, err error) {
	victim, err := proc.Start(victimRole, d.name)
	if err != nil {
		return 0, err
	}
	defer victim.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), natsPatience)
	defer cancel()
	var addr string
	if err := victim.Ask(ctx, struct{}{}, &addr); err != nil {
		return 0, err
	}
	died := make(chan struct{}, survivors)
	for i := range survivors {
		var once sync.Once
		end, err := d.watch(fmt.Sprintf("survivor-%d", i), addr, func() { once.Do(func() { died <- struct{}{} }) })
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	if len(died) > 0 {
		return 0, fmt.Errorf("%s: a process was declared dead that was not", d.name)
	}
	began := time.Now()
	victim.Kill()
	for i := range survivors {
		select {
		case <-died:
		case <-ctx.Done():
			return 0, fmt.Errorf("%s: %d of %d survivors know of a death after %v", d.name, i, survivors, natsPatience)
		}
	}
	return float64(time.Since(began)) / 1e6, nil
}

var detectors = []detector{
	{name: "tensile/cluster", live: func() (string, error) {
		node, err := startNode("victim", nil)
		if err != nil {
			return "", err
		}
		return node.Addr(), nil
	}, watch: func(name, addr string, died func()) (func() error, error) {
		node, err := startNode(name, nil, addr)
		if err != nil {
			return nil, err
		}
		listed := make(chan struct{})
		var once sync.Once
		node.Watch(func(e cluster.Event) {
			switch {
			case e.Name != "victim":
			case e.State == cluster.Alive:
				once.Do(func() { close(listed) })
			case e.State == cluster.Failed:
				died()
			}
		})
		<-listed
		return node.Close, nil
	}},
	{name: "memberlist alone, local settings", lacks: "connections, authentication of joins without a key",
		live: func() (string, error) {
			m, err := memberlist.Create(memberConfig("victim"))
			if err != nil {
				return "", err
			}
			return m.LocalNode().Address(), nil
		}, watch: func(name, addr string, died func()) (func() error, error) {
			cfg := memberConfig(name)
			cfg.Events = deaths(died)
			m, err := memberlist.Create(cfg)
			if err != nil {
				return nil, err
			}
			_, err = m.Join([]string{addr})
			return m.Shutdown, err
		}},
	{name: "end of a TCP connection", bound: true, lacks: "membership: a process that hangs is never noticed",
		live: func() (string, error) {
			return listen(func(l net.Listener) {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { _, _ = io.Copy(io.Discard, c) }()
				}
			})
		}, watch: func(_, addr string, died func()) (func() error, error) {
			c, err := net.DialTimeout("tcp", addr, natsPatience)
			if err != nil {
				return nil, err
			}
			go func() {
				_, _ = c.Read(make([]byte, 1)) // nothing is ever sent
				died()
			}()
			return c.Close, nil
		}},
}

func memberConfig(name string) *memberlist.Config {
	cfg := memberlist.DefaultLocalConfig()
	cfg.Name, cfg.BindAddr, cfg.BindPort, cfg.LogOutput = name, "127.0.0.1", 0, io.Discard
	return cfg
}

// deaths is told of members that are dead.
type deaths func()

func (deaths) NotifyJoin(*memberlist.Node)   {}
func (deaths) NotifyUpdate(*memberlist.Node) {}
func (d deaths) NotifyLeave(n *memberlist.Node) {
	if n.Name == "victim" {
		d()
	}
}
