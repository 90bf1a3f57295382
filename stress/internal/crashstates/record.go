package crashstates

import "fmt"

// Kind is what a call does.
type Kind string

// The kinds, and the fields of an Event that they use.
const (
	Create   Kind = "create"    // Dir, Name, Node: a new empty file
	Mkdir    Kind = "mkdir"     // Dir, Name, Node
	Link     Kind = "link"      // Dir, Name, Node: a second name
	Unlink   Kind = "unlink"    // Dir, Name, Node: also of a folder
	Rename   Kind = "rename"    // Dir, Name, ToDir, ToName, Node
	Write    Kind = "write"     // Node, Offset, Data, Synced
	Truncate Kind = "truncate"  // Node, Size
	Allocate Kind = "allocate"  // Node, Offset, Size: the file has at least Offset+Size bytes
	Zero     Kind = "zero"      // Node, Offset, Size: the range reads as zeros; the file does not grow
	Sync     Kind = "fsync"     // Node, Failed
	Datasync Kind = "fdatasync" // Node, Failed
	SyncAll  Kind = "sync"      // everything
	// SyncRange uses Node, Offset, Size. It makes nothing durable: see the package comment.
	SyncRange Kind = "sync_file_range"
	Mark      Kind = "mark" // Text: the program says something
	Note      Kind = "note" // Text: something that the record does not hold
	Fail      Kind = "fail" // Text: a call that was made to fail, or to do less; a sync is Failed instead
	Read      Kind = "read" // Node, Size: asks whether a call should fail, and is never recorded
)

// Event is a call that has taken effect.
type Event struct {
	Kind   Kind
	Thread int    `json:",omitempty"`
	Node   int    `json:",omitempty"`
	Dir    int    `json:",omitempty"`
	Name   string `json:",omitempty"`
	ToDir  int    `json:",omitempty"`
	ToName string `json:",omitempty"`
	Offset int64  `json:",omitempty"`
	Size   int64  `json:",omitempty"`
	Data   []byte `json:",omitempty"`
	Synced bool   `json:",omitempty"` // the file was opened with O_SYNC or O_DSYNC
	Failed bool   `json:",omitempty"` // the sync returned an error
	Text   string `json:",omitempty"`
}

// Node is a file or a folder, whatever names it has.
type Node struct {
	Folder bool           `json:",omitempty"`
	Data   []byte         `json:",omitempty"` // without zeros at the end
	Size   int64          `json:",omitempty"`
	Names  map[string]int `json:",omitempty"` // of a folder: its nodes by name
}

// Record is what a program did, and what was there before, which is durable.
type Record struct {
	// Base are the nodes before the first call. Node 0 is the folder; those that
	// are made later are numbered on.
	Base   []Node
	Events []Event
}

// end is the first byte behind a write.
func (e *Event) end() int64 { return e.Offset + int64(len(e.Data)) }

// names tells whether the event changes names.
func (e *Event) names() bool {
	switch e.Kind {
	case Create, Mkdir, Link, Unlink, Rename:
		return true
	}
	return false
}

// content tells whether the event changes the content or size of a file.
func (e *Event) content() bool {
	switch e.Kind {
	case Write, Truncate, Allocate, Zero:
		return true
	}
	return false
}

// Describe says what the event does, with paths as they were at that time.
func (r *Record) Describe(i int) string { return r.describe(&r.Events[i], i) }

// Would says what an event would do after all others.
func (r *Record) Would(e *Event) string { return r.describe(e, len(r.Events)) }

// describe says what an event does before event i.
func (r *Record) describe(e *Event, i int) string {
	name := func(dir int, name string) string {
		if path := r.path(dir, i); path != "." {
			return path + "/" + name
		}
		return name
	}
	switch e.Kind {
	case Create, Mkdir, Unlink:
		return fmt.Sprintf("%s %s", e.Kind, name(e.Dir, e.Name))
	case Link:
		return fmt.Sprintf("link %s to %s", name(e.Dir, e.Name), r.path(e.Node, i))
	case Rename:
		return fmt.Sprintf("rename %s to %s", name(e.Dir, e.Name), name(e.ToDir, e.ToName))
	case Write:
		text := fmt.Sprintf("write %s at %d, %d bytes", r.path(e.Node, i), e.Offset, len(e.Data))
		if e.Synced {
			text += ", synced"
		}
		return text
	case Truncate:
		return fmt.Sprintf("truncate %s to %d", r.path(e.Node, i), e.Size)
	case Allocate, Zero, SyncRange:
		return fmt.Sprintf("%s %s at %d, %d bytes", e.Kind, r.path(e.Node, i), e.Offset, e.Size)
	case Read:
		return fmt.Sprintf("read %s, %d bytes", r.path(e.Node, i), e.Size)
	case Sync, Datasync:
		text := fmt.Sprintf("%s %s", e.Kind, r.path(e.Node, i))
		if e.Failed {
			text += ", which fails"
		}
		return text
	case SyncAll:
		return "sync"
	}
	return e.Text
}

// PathNow is a path that a node has after all events.
func (r *Record) PathNow(node int) string { return r.path(node, len(r.Events)) }

// path is a path that a node has before event i.
func (r *Record) path(node, i int) string {
	if node == 0 {
		return "."
	}
	names := r.namesAt(i)
	for dir, list := range names {
		for name, n := range list {
			if n == node {
				if dir == 0 {
					return name
				}
				return r.path(dir, i) + "/" + name
			}
		}
	}
	return fmt.Sprintf("(nameless %d)", node)
}

// namesAt are the names that the program saw before event i.
func (r *Record) namesAt(i int) map[int]map[string]int {
	t := r.baseNames()
	for j := range r.Events[:i] {
		t.apply(&r.Events[j], true, true)
	}
	return t
}

// tree holds the names in each folder.
type tree map[int]map[string]int

func (r *Record) baseNames() tree {
	t := make(tree)
	for i, n := range r.Base {
		if n.Folder {
			t[i] = make(map[string]int, len(n.Names))
			for name, node := range n.Names {
				t[i][name] = node
			}
		}
	}
	return t
}

func (t tree) set(dir int, name string, node int) {
	if t[dir] == nil {
		t[dir] = make(map[string]int)
	}
	t[dir][name] = node
}

func (t tree) remove(dir int, name string, node int) {
	if n, ok := t[dir][name]; ok && n == node {
		delete(t[dir], name)
	}
}

// apply has an event take effect on the names: for a rename, that the old name
// goes, and that the new one comes.
func (t tree) apply(e *Event, gone, here bool) {
	switch e.Kind {
	case Create, Link:
		if here {
			t.set(e.Dir, e.Name, e.Node)
		}
	case Mkdir:
		if here {
			t.set(e.Dir, e.Name, e.Node)
			if t[e.Node] == nil {
				t[e.Node] = make(map[string]int)
			}
		}
	case Unlink:
		if gone {
			t.remove(e.Dir, e.Name, e.Node)
		}
	case Rename:
		if gone {
			t.remove(e.Dir, e.Name, e.Node)
		}
		if here {
			t.set(e.ToDir, e.ToName, e.Node)
		}
	}
}
