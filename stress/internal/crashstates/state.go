package crashstates

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
)

// Hash identifies what is on a disk.
type Hash [sha256.Size]byte

// fileContent is what a file holds.
type fileContent struct {
	data []byte // without zeros at the end
	size int64
	hash Hash
}

// State is what is on the disk after a power cut.
type State struct {
	Hash  Hash
	files []file // by path
}

type file struct {
	path    string
	content *fileContent // nil for a folder
}

// State is the state of a vector.
func (s *Space) State(vector []int) *State {
	fates := s.fates(vector)
	names := s.a.r.baseNames()
	for i, f := range fates {
		if e := &s.a.r.Events[i]; e.names() {
			names.apply(e, f.gone, f.here)
		}
	}
	state := new(State)
	s.collect(state, names, 0, "", fates, nil)
	slices.SortFunc(state.files, func(a, b file) int { return bytes.Compare([]byte(a.path), []byte(b.path)) })
	sum := sha256.New()
	for _, f := range state.files {
		addString(sum, f.path)
		if f.content != nil {
			sum.Write(f.content.hash[:])
		}
	}
	sum.Sum(state.Hash[:0])
	return state
}

func addString(sum hash.Hash, s string) {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(s)))
	sum.Write(length[:])
	sum.Write([]byte(s))
}

// collect walks through a folder. above guards against a folder that has come
// into itself.
func (s *Space) collect(state *State, names tree, dir int, path string, fates []fate, above []int) {
	if slices.Contains(above, dir) {
		return
	}
	for name, node := range names[dir] {
		at := filepath.Join(path, name)
		if _, folder := names[node]; folder {
			state.files = append(state.files, file{path: at})
			s.collect(state, names, node, at, fates, append(above, dir))
			continue
		}
		state.files = append(state.files, file{at, s.content(node, fates)})
	}
}

// content is what is left of a file. The same fates give the same content.
func (s *Space) content(node int, fates []fate) *fileContent {
	a := s.a
	var key []byte
	last := 0
	key = binary.AppendUvarint(key, uint64(node))
	for _, i := range a.byNode[node] {
		if i >= s.cut {
			break
		}
		key = fates[i].key(key)
		if fates[i].grown || fates[i].part != 1 {
			last = len(key)
		}
	}
	if last > 0 {
		key = key[:last] // what is lost behind that makes no difference
	}
	if c := a.pieces[string(key)]; c != nil {
		return c
	}
	c := s.build(node, fates)
	a.pieces[string(key)] = c
	return c
}

func (s *Space) build(node int, fates []fate) *fileContent {
	a := s.a
	var data []byte
	var size int64
	if node < len(a.r.Base) {
		data, size = slices.Clone(a.r.Base[node].Data), a.r.Base[node].Size
	}
	// put writes into the file, whatever its size.
	put := func(from, to int64, with []byte) {
		if from >= to {
			return
		}
		if missing := to - int64(len(data)); missing > 0 {
			data = append(data, make([]byte, missing)...)
		}
		copy(data[from:to], with)
	}
	for _, i := range a.byNode[node] {
		if i >= s.cut {
			break
		}
		e, f, fate := &a.r.Events[i], &a.effects[i], fates[i]
		switch e.Kind {
		case Truncate:
			if fate.grown {
				size = e.Size
				data = data[:min(int64(len(data)), size)]
			}
		case Allocate:
			if fate.grown {
				size = max(size, e.Offset+e.Size)
			}
		case Zero:
			if fate.part == 0 {
				put(e.Offset, min(e.Offset+e.Size, int64(len(data))), make([]byte, e.Size))
			}
		case Write:
			p := a.partsOf(i)[fate.part]
			put(p.from, p.to, e.Data[p.from-e.Offset:])
			size = max(size, p.size)
			if !a.m.Journal || !fate.grown {
				break
			}
			until := e.end()
			if fate.until > 0 {
				until = fate.until
			}
			put(f.to, until, e.Data[f.to-e.Offset:])
			size = max(size, until)
		}
	}
	c := &fileContent{size: size}
	data = data[:min(int64(len(data)), size)]
	c.data = bytes.TrimRight(data, "\x00")
	sum := sha256.New()
	addString(sum, fmt.Sprint(size))
	sum.Write(c.data)
	sum.Sum(c.hash[:0])
	return c
}

// Write writes the state into an empty folder.
func (s *State) Write(dir string) error {
	for _, f := range s.files {
		path := filepath.Join(dir, f.path)
		if f.content == nil {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := f.content.write(path); err != nil {
			return err
		}
	}
	return nil
}

func (c *fileContent) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(c.data)
	if err == nil && c.size > int64(len(c.data)) {
		err = f.Truncate(c.size)
	}
	return errors.Join(err, f.Close())
}

// Files says what is there: paths and sizes.
func (s *State) Files() []string {
	var all []string
	for _, f := range s.files {
		if f.content == nil {
			all = append(all, f.path+"/")
		} else {
			all = append(all, fmt.Sprintf("%s, %d bytes", f.path, f.content.size))
		}
	}
	return all
}
