package session

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// replicas is the number of nodes that hold a key, and majority the number that
// decides.
const (
	replicas = 3
	majority = replicas/2 + 1
)

// partitions is the number of parts into which keys fall. All keys of one have
// the same replicas. It is large enough that four nodes get the same share to
// within a few percent.
const partitions = 1024

// member is one life of a node: a node that was restarted is another member.
type member struct {
	name     string
	instance uint64
}

// view is a configuration: who the members are in an epoch. It does not change
// once it is placed.
type view struct {
	epoch   uint64
	after   uint64   // epoch of the view that it follows, or 0
	founder ballot   // of the founder whose view it is; zero where members agreed on it
	members []member // by name
	founded parts    // which begin anew in this view, since what they held is lost
	doubted parts    // which have begun anew, and nobody has declared their loss yet
	table   *[partitions][replicas]uint8
}

// parts is a set of partitions.
type parts [partitions / 64]uint64

func (b *parts) has(part int) bool { return b[part/64]&(1<<(part%64)) != 0 }

// put has a partition be in the set or not.
func (b *parts) put(part int, in bool) {
	b[part/64] &^= 1 << (part % 64)
	if in {
		b[part/64] |= 1 << (part % 64)
	}
}

// with returns the set and those of another.
func (b parts) with(c parts) parts {
	for i := range b {
		b[i] |= c[i]
	}
	return b
}

// next is the view that follows, of these members.
func (v *view) next(members []member) *view {
	return &view{epoch: v.epoch + 1, after: v.epoch, members: members, doubted: v.doubted}
}

// place gives the partitions to members. Rendezvous hashing (Thaler,
// Ravishankar, 1998): each node is drawn a number for each partition, and the
// three highest have it; so a partition moves only if one of its own three
// nodes goes, or one comes that ranks among them.
func (v *view) place() {
	members := v.members
	v.table = new([partitions][replicas]uint8)
	salts := make([]uint64, len(members))
	for i, m := range members {
		h := fnv.New64a()
		_, _ = h.Write([]byte(m.name)) // never fails
		salts[i] = h.Sum64()
	}
	type draw struct {
		number uint64
		node   uint8
	}
	draws := make([]draw, len(members))
	for p := range v.table {
		for i, salt := range salts {
			draws[i] = draw{mix(salt ^ mix(uint64(p))), uint8(i)}
		}
		slices.SortFunc(draws, func(a, b draw) int {
			if a.number > b.number {
				return -1
			}
			return 1
		})
		for i := range v.table[p] {
			v.table[p][i] = draws[i].node
		}
	}
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// hash is FNV-1a, the same in every process.
func hash[T string | []byte](key T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return h
}

func partitionOf[T string | []byte](key T) int { return int(mix(hash(key)) % partitions) }

// index is the place of an instance among the members, or -1.
func (v *view) index(instance uint64) int {
	return slices.IndexFunc(v.members, func(m member) bool { return m.instance == instance })
}

// rank is the place of a member among the replicas of a partition, or -1.
func (v *view) rank(p, index int) int {
	for i, at := range v.table[p] {
		if int(at) == index {
			return i
		}
	}
	return -1
}

// rankOf is the place of a node among the replicas of a partition, or -1.
func (v *view) rankOf(p int, name string) int {
	return v.rank(p, slices.IndexFunc(v.members, func(m member) bool { return m.name == name }))
}

// with returns the members after m has come, in the place of an earlier life if
// there is one.
func (v *view) with(m member) []member {
	return sorted(append(v.without(m.name), m))
}

// without returns the members after name has gone.
func (v *view) without(name string) []member {
	return slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return m.name == name })
}

func sorted(members []member) []member {
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return members
}

func (v *view) String() string {
	names := make([]string, len(v.members))
	for i, m := range v.members {
		names[i] = fmt.Sprintf("%s#%x", m.name, m.instance>>48)
	}
	return fmt.Sprintf("view %d of %s", v.epoch, strings.Join(names, " "))
}

// chain is views that follow each other, the latest last.
type chain []*view

// keptViews is how many views are told to those who may have missed some.
const keptViews = 8

func (c chain) latest() *view {
	if len(c) == 0 {
		return nil
	}
	return c[len(c)-1]
}

// before is the view before the latest, or nil.
func (c chain) before() *view {
	if len(c) < 2 {
		return nil
	}
	return c[len(c)-2]
}

// epoch is that of the latest view, or 0.
func (c chain) epoch() uint64 {
	if len(c) == 0 {
		return 0
	}
	return c.latest().epoch
}

// following is the view that follows the one of an epoch, or nil if that is not
// known.
func (c chain) following(epoch uint64) *view {
	if i := slices.IndexFunc(c, func(v *view) bool { return v.after == epoch }); i >= 0 {
		return c[i]
	}
	return nil
}

// foundedSince tells whether the partition has begun anew after the epoch, as
// far as can be told: views that are not known any more may have had it so.
func (c chain) foundedSince(part int, epoch uint64) bool {
	return c[0].after > epoch || slices.ContainsFunc(c, func(v *view) bool {
		return v.epoch > epoch && v.founded.has(part)
	})
}

// then returns the chain with the next view.
func (c chain) then(v *view) chain {
	from := max(len(c)+1-keptViews, 0)
	return append(slices.Clone(c[from:]), v)
}

func appendMembers(b []byte, members []member) []byte {
	b = binary.AppendUvarint(b, uint64(len(members)))
	for _, m := range members {
		b = binary.AppendUvarint(b, uint64(len(m.name)))
		b = append(b, m.name...)
		b = binary.LittleEndian.AppendUint64(b, m.instance)
	}
	return b
}

// members decodes a list that a view can be made of.
func (d *decoder) members() []member {
	n := d.count(maxNodes)
	members := make([]member, 0, n)
	for range n {
		members = append(members, member{string(d.bytes(maxName)), d.uint64()})
	}
	for i, m := range members {
		if m.name == "" || m.instance == 0 || i > 0 && members[i-1].name >= m.name {
			d.fail()
		}
	}
	if d.bad || n < minNodes {
		d.fail()
		return nil
	}
	return members
}

// appendContent encodes what a view says, and all that is agreed on.
func appendContent(b []byte, v *view) []byte {
	return appendParts(appendParts(appendMembers(b, v.members), v.founded), v.doubted)
}

// content decodes what a view says.
func (d *decoder) content() view {
	return view{members: d.members(), founded: d.parts(), doubted: d.parts()}
}

func appendParts(b []byte, set parts) []byte {
	if set == (parts{}) {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, word := range set {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}

func (d *decoder) parts() (set parts) {
	switch d.byte() {
	case 0:
	case 1:
		for i := range set {
			set[i] = d.uint64()
		}
	default:
		d.fail()
	}
	return set
}

func appendChain(b []byte, c chain) []byte {
	b = binary.AppendUvarint(b, uint64(len(c)))
	for _, v := range c {
		b = binary.AppendUvarint(b, v.epoch)
		b = binary.AppendUvarint(b, v.after)
		b = appendContent(appendBallot(b, v.founder), v)
	}
	return b
}

// chain decodes a chain, which may be empty.
func (d *decoder) chain() chain {
	n := d.count(keptViews)
	var c chain
	for range n {
		epoch, after, founder := d.uvarint(), d.uvarint(), d.ballot()
		v := d.content()
		if d.bad || epoch <= after || len(c) > 0 && after != c.epoch() {
			d.fail()
			return nil
		}
		v.epoch, v.after, v.founder = epoch, after, founder
		c = append(c, &v)
	}
	return c
}
