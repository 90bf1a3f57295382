package crashstates

// Model says how a file system keeps what was not synced. See the package
// comment.
type Model struct {
	Name string
	// Journal: names, truncations and allocations get to the disk in their
	// order, and all of them with any sync that has one of them to bring there.
	Journal bool
	// Delayed: content that makes a file longer gets there in its own time, each
	// file for itself, and the size with it. Otherwise it belongs to the journal.
	Delayed bool
	// ReplaceFlushes: a file that is renamed over another has its content first.
	ReplaceFlushes bool
	// TailLoose: where a file grows within its last block the size may come
	// before the content.
	TailLoose bool
}

// The models.
var (
	POSIX       = Model{Name: "posix"}
	ext4Ordered = Model{Name: "ext4-ordered", Journal: true, TailLoose: true}
	ext4        = Model{Name: "ext4", Journal: true, Delayed: true, ReplaceFlushes: true, TailLoose: true}
	xfs         = Model{Name: "xfs", Journal: true, Delayed: true}
)

// Models are all of them, the strictest for programs last.
func Models() []Model { return []Model{ext4Ordered, ext4, xfs, POSIX} }

const (
	sector = 512  // is written as a whole
	block  = 4096 // the unit of allocation and of the page cache
)

func roundUp(n int64) int64 { return (n + block - 1) / block * block }

const never = int(^uint(0) >> 1)

// effects are what a model makes of an event: at which event its effects are
// durable, and which parts of a write are free of any order.
type effects struct {
	data     int  // the event by which content is durable, or never
	gone     int  // and that a name has gone
	here     int  // and that a name is there
	size     int  // and the size
	meta     bool // it is a step of the journal
	grows    bool // a write after which the file is longer
	from, to int64
	// A write: [from, to) is free; what is behind comes in order with the size.
	// newSize is the size after the event.
	newSize int64
	flushes int // of a rename: the node whose content it takes along, or -1
}

// Analysis is a record under a model. It must not be used concurrently.
type Analysis struct {
	r       *Record
	m       Model
	effects []effects
	byNode  map[int][]int // events on the content of each file
	parts   map[int][]part
	pieces  map[string]*fileContent
}

// Under looks at a record by a model. The record must not change from then on.
func (r *Record) Under(m Model) *Analysis {
	a := &Analysis{r: r, m: m, effects: make([]effects, len(r.Events)), byNode: make(map[int][]int),
		parts: make(map[int][]part), pieces: make(map[string]*fileContent)}
	a.place()
	a.settle()
	return a
}

// place finds out which parts of each write follow which order.
func (a *Analysis) place() {
	seen := make(map[int]int64)   // sizes as the program sees them
	synced := make(map[int]int64) // and those that have their blocks for sure
	for i, n := range a.r.Base {
		seen[i], synced[i] = n.Size, n.Size
	}
	names := a.r.baseNames()
	for i := range a.r.Events {
		e, f := &a.r.Events[i], &a.effects[i]
		*f = effects{data: never, gone: never, here: never, size: never, flushes: -1}
		if e.content() {
			a.byNode[e.Node] = append(a.byNode[e.Node], i)
		}
		switch e.Kind {
		case Create:
			seen[e.Node], synced[e.Node] = 0, 0
			f.meta = true
		case Mkdir, Link, Unlink:
			f.meta = true
		case Rename:
			f.meta = true
			if _, over := names[e.ToDir][e.ToName]; over && a.m.ReplaceFlushes {
				f.flushes = e.Node
			}
		case Truncate:
			f.meta, f.newSize, f.grows = true, e.Size, e.Size > seen[e.Node]
			seen[e.Node], synced[e.Node] = e.Size, e.Size // its blocks are gone, or there is a hole
		case Allocate:
			f.newSize = max(seen[e.Node], e.Offset+e.Size)
			f.meta, f.grows = true, f.newSize > seen[e.Node]
			seen[e.Node], synced[e.Node] = f.newSize, max(synced[e.Node], f.newSize)
		case Zero:
			f.newSize, f.from, f.to = seen[e.Node], e.Offset, e.Offset+e.Size
		case Write:
			a.placeWrite(e, f, seen[e.Node], synced[e.Node])
			seen[e.Node] = f.newSize
			if e.Synced {
				synced[e.Node] = f.newSize
			}
		case Sync, Datasync:
			if !e.Failed {
				synced[e.Node] = seen[e.Node]
			}
		case SyncAll:
			for node, size := range seen {
				synced[node] = size
			}
		}
		names.apply(e, true, true)
	}
}

func (a *Analysis) placeWrite(e *Event, f *effects, seen, synced int64) {
	f.newSize = max(seen, e.end())
	f.grows = f.newSize > seen
	f.from, f.to = e.Offset, e.end()
	if !a.m.Journal {
		return
	}
	settled := seen // up to here there are blocks, and the size is in the journal
	if a.m.Delayed {
		settled = synced
	}
	loose := settled
	if a.m.TailLoose {
		loose = roundUp(settled)
	}
	f.to = max(f.from, min(f.to, loose))
	if e.end() <= loose {
		f.meta = e.end() > settled // the size alone
	} else {
		f.meta = !a.m.Delayed
	}
}

// settle finds out by which sync each effect is durable.
func (a *Analysis) settle() {
	events := a.r.Events
	dropped := make(map[int]bool) // whose pages a failed sync has left clean
	changed := make(map[int]bool) // nodes with a step in the journal for fsync
	resized := make(map[int]bool) // and for fdatasync
	for j := range events {
		e := &events[j]
		switch e.Kind {
		case Create, Mkdir:
			changed[e.Node], resized[e.Node], changed[e.Dir], resized[e.Dir] = true, true, true, true
		case Link, Unlink, Rename:
			changed[e.Node], changed[e.Dir], resized[e.Dir] = true, true, true
			if e.Kind == Rename {
				changed[e.ToDir], resized[e.ToDir] = true, true
			}
		case Truncate, Allocate:
			changed[e.Node], resized[e.Node] = true, true
		case Write:
			f := &a.effects[j]
			changed[e.Node] = true
			if f.meta || f.to < e.end() {
				resized[e.Node] = true
			}
			if e.Synced {
				f.data, f.size = j, j
				if a.m.Journal && resized[e.Node] {
					a.commit(j, changed, resized)
				}
			}
		case Sync, Datasync:
			if e.Failed {
				for _, i := range a.byNode[e.Node] {
					if f := &a.effects[i]; i < j && f.data == never && events[i].Kind == Write {
						dropped[i] = true
						f.from, f.to = events[i].Offset, events[i].end()
					}
				}
				continue
			}
			for _, i := range a.byNode[e.Node] {
				if i >= j {
					break
				}
				if f := &a.effects[i]; !dropped[i] {
					f.data, f.size = min(f.data, j), min(f.size, j)
				} else {
					f.size = min(f.size, j)
				}
			}
			if a.m.Journal {
				if changed[e.Node] && e.Kind == Sync || resized[e.Node] {
					a.commit(j, changed, resized)
				}
			} else {
				a.syncFolder(e.Node, j)
			}
		case SyncAll:
			for i := range j {
				f := &a.effects[i]
				f.data, f.size, f.gone, f.here = min(f.data, j), min(f.size, j), min(f.gone, j), min(f.here, j)
			}
			clear(changed)
			clear(resized)
		}
	}
}

// commit brings the journal to the disk.
func (a *Analysis) commit(j int, changed, resized map[int]bool) {
	for i := range j + 1 {
		f := &a.effects[i]
		e := &a.r.Events[i]
		if e.names() {
			f.gone, f.here = min(f.gone, j), min(f.here, j)
			if f.flushes >= 0 {
				a.flush(f.flushes, i, j)
			}
		}
		if f.meta && e.content() {
			f.size = min(f.size, j)
			if e.Kind != Write {
				f.data = min(f.data, j)
			}
		}
	}
	clear(changed)
	clear(resized)
}

// flush makes the content durable that a node has before event i.
func (a *Analysis) flush(node, i, j int) {
	for _, w := range a.byNode[node] {
		if w < i {
			f := &a.effects[w]
			f.data, f.size = min(f.data, j), min(f.size, j)
		}
	}
}

// syncFolder makes the names in a folder durable.
func (a *Analysis) syncFolder(folder, j int) {
	for i := range j {
		e, f := &a.r.Events[i], &a.effects[i]
		if !e.names() {
			continue
		}
		if e.Dir == folder {
			f.gone = min(f.gone, j)
			if e.Kind != Rename {
				f.here = min(f.here, j)
			}
		}
		if e.Kind == Rename && e.ToDir == folder {
			f.here = min(f.here, j)
			if e.Dir == folder {
				f.gone = min(f.gone, j)
			}
		}
	}
}

// Model is the one that the record is looked at by.
func (a *Analysis) Model() Model { return a.m }

// ModelNamed returns a model by its name.
func ModelNamed(name string) (Model, bool) {
	for _, m := range Models() {
		if m.Name == name {
			return m, true
		}
	}
	return Model{}, false
}
