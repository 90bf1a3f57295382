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

// Cause says why an event is not whole on the disk: which sync is missing. It is ""
// for one that is.
func (s *Space) Cause(vector []int, i int) string {
	e := &s.a.r.Events[i]
	what := s.a.r.Describe(i)
	switch fate := s.Fate(vector, i); {
	case fate == "" || fate == "durable" || fate == "there, not synced" || fate == "not yet":
		return ""
	case e.names():
		folder := s.a.r.path(e.folder(), s.cut)
		switch {
		case s.FailedSync(i):
			return fmt.Sprintf("%s: %s; a sync of its folder %s failed after that", what, fate, folder)
		case s.a.syncedFile(e, i, s.cut):
			return fmt.Sprintf("%s: %s; the file was synced after that, and its folder %s was not", what, fate, folder)
		}
		return fmt.Sprintf("%s: %s; no sync of its folder %s came after that", what, fate, folder)
	default:
		if s.FailedSync(i) {
			return fmt.Sprintf("%s: %s; a sync failed after that, and it was not written again", what, fate)
		}
		return fmt.Sprintf("%s: %s; no sync of the file came after that", what, fate)
	}
}

// syncedFile tells whether the node of an event was synced between it and a cut.
func (a *Analysis) syncedFile(e *Event, i, cut int) bool {
	for _, s := range a.r.Events[i:cut] {
		if (s.Kind == Sync || s.Kind == Datasync) && s.Node == e.Node && !s.Failed {
			return true
		}
	}
	return false
}

// FailedSync tells whether a sync that should have made an event durable failed: one of its file,
// or of the folder in which a name changes.
func (s *Space) FailedSync(i int) bool {
	node := s.a.r.Events[i].Node
	if e := &s.a.r.Events[i]; e.names() {
		node = e.folder()
	}
	for _, e := range s.a.r.Events[i:s.cut] {
		if (e.Kind == Sync || e.Kind == Datasync) && e.Node == node && e.Failed {
			return true
		}
	}
	return false
}

// folder is the one in which an event makes a name, or removes it.
func (e *Event) folder() int {
	if e.Kind == Rename {
		return e.ToDir
	}
	return e.Dir
}
