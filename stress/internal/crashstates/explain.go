package crashstates

import "fmt"

// Fate says in a few words what a vector makes of an event: "durable", "there",
// "lost", or which part of it is there. It is "" for an event that leaves nothing
// on the disk.
func (s *Space) Fate(vector []int, i int) string {
	if i >= s.cut {
		return "not yet"
	}
	e, f := &s.a.r.Events[i], &s.a.effects[i]
	fate := s.fates(vector)[i]
	switch {
	case e.names():
		switch {
		case f.here < s.cut && f.gone < s.cut:
			return "durable"
		case fate.here && fate.gone:
			return "there, not synced"
		case fate.here:
			return "both names there"
		case fate.gone && e.Kind == Rename:
			return "no name there"
		}
		return "lost"
	case !e.content():
		return ""
	case f.data < s.cut && f.size < s.cut:
		return "durable"
	case e.Kind != Write:
		if fate.grown && fate.part == 0 {
			return "there, not synced"
		}
		return "lost"
	}
	p := s.a.partsOf(i)[fate.part]
	until := int64(0)
	if s.a.m.Journal && fate.grown {
		until = e.end()
		if fate.until > 0 {
			until = fate.until
		}
	}
	free, whole := p.to-p.from, f.to-f.from
	rest, all := max(until-f.to, 0), e.end()-f.to
	switch {
	case free == whole && rest == all:
		if f.meta && !fate.grown {
			return "lost (its size)"
		}
		return "there, not synced"
	case free+rest == 0 && (p.size >= 0 || s.a.m.Journal && fate.grown && f.grows):
		return "its size alone, zeros"
	case free+rest == 0:
		return "lost"
	case p.size < 0 || p.size == e.end():
		return fmt.Sprintf("in part: %d of %d bytes", free+rest, len(e.Data))
	}
	return fmt.Sprintf("cut: %d of %d bytes", free+rest, len(e.Data))
}
