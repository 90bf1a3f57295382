package stress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/stress/clustertest"
	"tensile/stress/node"
)

func TestPlantedClusters(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyCluster", []fault{
		{"takes nobody back", "was started again under its name, and"},
		{"leaves a goroutine", "left behind: 1 goroutines"},
		{"answers nobody", "the call never ended"},
		{"keeps the dead", "has node-"},
		{"hardly notices", "was killed, and after 3s"},
		{"drops a healthy one", "which is alive and well"},
		{"accuses when it is late", "which is alive and well"},
		{"accepts any secret", "formation.secret: "},
		{"left is failed", "as failed"},
		{"another port will do", "with an address that is taken was started without an error"},
		{"another name will do", "with a name that is taken was started without an error"},
		{"one error for all", "that is taken does not say so"},
	}, "STRESS_BURN=1s", processes)
	mustBeCaught(t, "TestFaultyCluster", []fault{
		{"never again", "was stopped while every processor was busy, and after 6s"},
	}, "STRESS_BURN=1s", processes, whole)
}

// TestPlantedSlowCluster is for times that are judged beside a control.
func TestPlantedSlowCluster(t *testing.T) {
	unhurried(t)
	for _, c := range []struct{ fault, criterion string }{
		{"slow to form", "formed"},
		{"slow to notice", "death"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			mustBeFoundSlow(t, "TestFaultyCluster$/^(formation|kills)$", c.fault, c.criterion)
		})
	}
}

// offersLess is no fault: a node that lacks all parts that it may lack.
const offersLess = "offers less"

func TestClusterOfNodesThatOfferLess(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustPass(t, "TestFaultyCluster", offersLess)
}

// TestFaultyCluster is the kit over nodes with the fault that is planted.
func TestFaultyCluster(t *testing.T) {
	skipUnlessPlanted(t)
	clustertest.TestCluster(t, startFaultyNode)
}

// slowStart is by how long the start of a planted node takes longer.
const slowStart = 300 * time.Millisecond

func startFaultyNode(tb testing.TB, cfg node.Config) (node.Node, error) {
	if isSlowPlant() {
		return startSlowNode(tb, cfg)
	}
	plantInHandler(&cfg)
	switch planted {
	case "slow to form":
		time.Sleep(slowStart)
	case "accepts any secret":
		cfg.Secret = []byte("the same for everybody, and long enough")
	case "only the first seed":
		cfg.Seeds = cfg.Seeds[:min(1, len(cfg.Seeds))]
	case "address may be claimed":
		if cfg.Name == "node-100" {
			cfg.Bind = "127.0.0.1:0"
		}
	case "another port will do":
		if taken, err := net.Listen("tcp", cfg.Bind); err != nil {
			cfg.Bind = "127.0.0.1:0"
		} else {
			_ = taken.Close()
		}
	}
	below := cfg
	below.CallTimeout = callTimeout(cfg)
	n, err := startNode(tb, below)
	switch {
	case planted == "another name will do" && errors.Is(err, cluster.ErrNameTaken):
		below.Name += "0"
		n, err = startNode(tb, below)
	case planted == "one error for all" && err != nil:
		err = fmt.Errorf("%w, or something: %v", cluster.ErrUnreachable, err)
	}
	if err != nil {
		return nil, err
	}
	f := &faultyNode{
		Node: n, cfg: cfg, began: time.Now(), noticed: make(map[string]time.Time), late: make(map[string]time.Time),
	}
	f.plant()
	return f, nil
}

// faultyNode is a sound node with a fault on top.
type faultyNode struct {
	node.Node
	cfg   node.Config
	began time.Time

	mu      sync.Mutex
	noticed map[string]time.Time // when a member was first seen to have failed
	late    map[string]time.Time // until when a member is accused
	parted  bool                 // has seen one leave
	memory  memory

	faultyCalls
}

func (f *faultyNode) plant() {
	if planted == "accuses when it is late" {
		go func() {
			for last := time.Now(); ; {
				time.Sleep(time.Millisecond)
				now := time.Now()
				if now.Sub(last) > 8*time.Millisecond && f.calls.Load() > 0 { // the cluster has formed
					f.mu.Lock()
					for _, m := range f.Node.Members() {
						f.late[m.Name] = now.Add(100 * time.Millisecond)
					}
					f.mu.Unlock()
				}
				last = now
			}
		}()
	}
	f.plantInCalls()
}

func (f *faultyNode) Members() []node.Member {
	if planted == "knows nobody" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []node.Member
	for _, m := range f.Node.Members() {
		if m.State == node.Failed && f.noticed[m.Name].IsZero() {
			f.noticed[m.Name] = time.Now()
		} else if m.State == node.Alive && planted != "takes nobody back" {
			delete(f.noticed, m.Name)
		}
		f.parted = f.parted || m.State == node.Left
		since := f.noticed[m.Name]
		switch {
		case planted == "keeps the dead" && m.State == node.Failed,
			planted == "never again" && m.State == node.Failed && f.parted,
			planted == "slow to notice" && m.State == node.Failed && time.Since(since) < 300*time.Millisecond,
			planted == "hardly notices" && m.State == node.Failed && time.Since(since) < 7*time.Second:
			m.State = node.Alive
		case planted == "left is failed" && m.State == node.Left,
			planted == "takes nobody back" && !since.IsZero(),
			planted == "accuses when it is late" && time.Now().Before(f.late[m.Name]):
			m.State = node.Failed
		case planted == "drops a healthy one" && f.cfg.Name == "node-1" && m.Name == "node-2" &&
			time.Since(f.began)%(300*time.Millisecond) > 250*time.Millisecond:
			continue
		}
		all = append(all, m)
	}
	return f.astray(all)
}

func (f *faultyNode) Close() error {
	f.end()
	return f.Node.Close()
}

func (f *faultyNode) Leave(ctx context.Context) error {
	if planted == offersLess {
		return errors.ErrUnsupported
	}
	f.end()
	return f.Node.Leave(ctx)
}

// end ends what the faults have started, but for a fault.
func (f *faultyNode) end() {
	f.endLate()
	close(f.ended)
	if planted == "leaves a goroutine" {
		go func() { select {} }()
	}
}
