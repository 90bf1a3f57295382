package storagetest_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tensile/stress/storagetest"
)

// pairs is a store of which all changes go to a log. Every few changes all pairs
// are written into a snapshot, and the log begins anew: the snapshot says how
// many records of the log it contains, so that one that is not gone yet does no
// harm.
type pairs struct {
	dir, fault string

	mu  sync.Mutex
	m   map[string][]byte
	at  map[string]int64
	log *fileLog
	n   int   // records ever
	err error // of a snapshot: what is on the disk is not known from then on
}

// change is a record of the log.
type change struct {
	Number int
	Set    map[string][]byte
	Gone   string
	At     int64 // by the clock
}

type snapshot struct {
	Number int
	Set    map[string][]byte
}

const snapshotEvery = 4

func openPairs(dir, fault string) (*pairs, error) {
	p := &pairs{dir: dir, fault: fault, m: make(map[string][]byte), at: make(map[string]int64)}
	text, err := os.ReadFile(p.in("snapshot"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case len(text) == 0 && fault == "the snapshot is not synced":
		// as if there were none
	default:
		var s snapshot
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, err
		}
		p.n = s.Number
		for k, v := range s.Set {
			p.m[k] = v
		}
	}
	if err := os.Mkdir(p.in("log"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := syncFolder(dir); err != nil {
		return nil, err
	}
	if p.log, err = openLog(p.in("log"), ""); err != nil {
		return nil, err
	}
	for _, record := range p.log.list {
		var c change
		if err := json.Unmarshal(record, &c); err != nil {
			return nil, err
		}
		if c.Number > p.n {
			p.apply(c)
			p.n = c.Number
		}
	}
	return p, nil
}

func (p *pairs) in(name string) string { return filepath.Join(p.dir, name) }

func (p *pairs) apply(c change) {
	for k, v := range c.Set {
		if p.fault != "the clock says which value is the last" || c.At >= p.at[k] {
			p.m[k], p.at[k] = v, c.At
		}
	}
	delete(p.m, c.Gone)
}

func (p *pairs) change(c change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	return p.changeLocked(c)
}

func (p *pairs) changeLocked(c change) error {
	c.Number, c.At = p.n+1, time.Now().UnixMicro()
	record, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if p.fault == "a deletion is not synced" && c.Gone != "" {
		p.log.fault = "no sync of the file"
	}
	err = p.log.Append(record)
	p.log.fault = ""
	if err != nil {
		return err
	}
	p.n++
	p.apply(c)
	if p.n%snapshotEvery == 0 {
		p.err = p.snapshot()
	}
	return p.err
}

// snapshot writes all pairs, and begins the log anew.
func (p *pairs) snapshot() error {
	text, err := json.Marshal(snapshot{p.n, p.m})
	if err != nil {
		return err
	}
	if p.fault == "the log goes before the snapshot is there" {
		if err := p.begin(); err != nil {
			return err
		}
	}
	if p.fault == "the snapshot is not synced" {
		err = os.WriteFile(p.in("snapshot.tmp"), text, 0o644)
	} else {
		err = writeAndSync(p.in("snapshot.tmp"), os.O_TRUNC, text)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(p.in("snapshot.tmp"), p.in("snapshot")); err != nil {
		return err
	}
	if p.fault != "the log goes before the name of the snapshot is synced" {
		if err := syncFolder(p.dir); err != nil {
			return err
		}
	}
	return p.begin()
}

// begin begins the log anew.
func (p *pairs) begin() error {
	names, err := filepath.Glob(p.in("log/log-*"))
	if err != nil {
		return err
	}
	if err := p.log.Close(); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			return err
		}
		if err := syncFolder(p.in("log")); err != nil {
			return err
		}
	}
	log, err := openLog(p.in("log"), "")
	if err == nil {
		p.log = log
	}
	return err
}

func (p *pairs) Put(key string, value []byte) error {
	return p.change(change{Set: map[string][]byte{key: value}})
}

func (p *pairs) Delete(key string) error { return p.change(change{Gone: key}) }

func (p *pairs) PutAll(values map[string][]byte) error {
	if p.fault != "a batch is several records" {
		return p.change(change{Set: values})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, v := range values {
		if err := p.changeLocked(change{Set: map[string][]byte{k: v}}); err != nil {
			return err
		}
	}
	return nil
}

func (p *pairs) Get(key string) ([]byte, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.m[key]
	return v, ok, nil
}

func (p *pairs) Keys() (keys []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.m {
		keys = append(keys, k)
	}
	return keys, nil
}

func (p *pairs) Close() error { return p.log.Close() }

// soundStates is enough to see that nothing is said of a sound subject.
const soundStates = 2_000

func TestSoundStore(t *testing.T) {
	storagetest.TestStore(t, func(dir string) (storagetest.Store, error) { return openPairs(dir, "") },
		storagetest.Options{States: soundStates, FromNothing: true})
}

func TestFaultyStores(t *testing.T) {
	for fault, want := range map[string]sought{
		"a batch is several records":                             {"which puts all at once", "in part"},
		"a deletion is not synced":                               {unsyncedFile, "came back, lost"},
		"the snapshot is not synced":                             {unsyncedFile, "lost, refused"},
		"the log goes before the snapshot is there":              {"unlink log/log-", "lost, came back"},
		"the log goes before the name of the snapshot is synced": {"its folder . ", "lost, came back"},
		"the clock says which value is the last":                 {"the clock is 1h0m0s back", "unstable"},
	} {
		t.Run(fault, func(t *testing.T) {
			want.in(t, storagetest.TryStore(t, func(dir string) (storagetest.Store, error) { return openPairs(dir, fault) },
				storagetest.Options{States: faultyStates}))
		})
	}
}
