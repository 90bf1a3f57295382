//go:build broken

package museum

import (
	"github.com/cornelk/hashmap"
)

// hashmapMap is the same before the library had type parameters.
type hashmapMap struct{ m *hashmap.HashMap }

func newHashmap() hashmapMap { return hashmapMap{new(hashmap.HashMap)} }

func (n hashmapMap) Add(name string, b *box) bool { return n.m.Insert(name, b) }

func (n hashmapMap) Get(name string) (*box, bool) {
	b, ok := n.m.GetStringKey(name)
	if !ok {
		return nil, false
	}
	return b.(*box), true
}

func (n hashmapMap) Remove(name string) bool {
	_, known := n.m.GetStringKey(name)
	n.m.Del(name)
	return known
}
