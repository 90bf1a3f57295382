//go:build !broken

package museum

import (
	"github.com/cornelk/hashmap"
)

type hashmapMap struct {
	m *hashmap.Map[string, *box]
}

func newHashmap() hashmapMap { return hashmapMap{hashmap.New[string, *box]()} }

func (n hashmapMap) Add(name string, b *box) bool { return n.m.Insert(name, b) }
func (n hashmapMap) Get(name string) (*box, bool) { return n.m.Get(name) }
func (n hashmapMap) Remove(name string) bool      { return n.m.Del(name) }
