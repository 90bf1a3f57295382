package report

// What follows is drawn in report.html as it is, with a table of the same
// figures, whatever scenario it belongs to.

// Timeline is a stretch of time with the faults that were injected in it and
// what came of them.
type Timeline struct {
	Name   string  `json:"name"`
	Events []Event `json:"events"`
	// Lines are figures over the same time, such as workers that serve. They
	// share one unit.
	Lines []Line `json:"lines,omitempty"`
	Unit  string `json:"unit,omitempty"`
}

// Event is an instant in a Timeline.
type Event struct {
	At     float64   `json:"at_s"` // seconds since the beginning of the timeline
	Kind   EventKind `json:"kind"`
	Target string    `json:"target,omitempty"` // what was hit: events of one target share a row
	What   string    `json:"what"`             // such as "SIGKILL", or "declared dead by all"
}

// EventKind says what an event is.
type EventKind string

// The kinds of events.
const (
	Fault     EventKind = "fault"     // injected
	Detected  EventKind = "detected"  // by those who had to
	Undone    EventKind = "undone"    // the fault, by the harness: healed, continued, restarted
	Recovered EventKind = "recovered" // the steady state holds again
	Remark    EventKind = "remark"    // anything else worth a mark
)

// Balance is how a load was spread over nodes.
type Balance struct {
	Name  string      `json:"name"` // such as the strategy, and "after a join"
	Unit  string      `json:"unit"` // such as "connections"
	Nodes []NodeShare `json:"nodes"`
	// Allowed is by how much a node may differ from its fair share; nil if
	// nothing is asked.
	Allowed *float64 `json:"allowed"`
}

// NodeShare is the part of one node.
type NodeShare struct {
	Node string  `json:"node"`
	Got  float64 `json:"got"`
	Fair float64 `json:"fair"` // its fair share, by its weight; 0 for a node that is to get nothing
}

// Repeats is a figure that was measured several times in one scenario, such as
// the time until a killed node was known dead.
type Repeats struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"` // in the order of measuring
	Target *float64  `json:"target"` // for their median; nil where nothing is asked
}

// Chart is any other relation between two figures.
type Chart struct {
	Name string `json:"name"`
	X    Axis   `json:"x"`
	Y    Axis   `json:"y"`
	// Lines are drawn through their points, in the order in which these are.
	Lines []Line `json:"lines"`
	// Marks are values of x worth a mark, such as the rate at which a threshold
	// is missed.
	Marks []Mark `json:"marks,omitempty"`
	// Target is a value of y to be reached or not to be exceeded; nil for none.
	Target *float64 `json:"target"`
	Note   string   `json:"note,omitempty"` // what it does and does not say
}

// Axis is one side of a Chart.
type Axis struct {
	Name string `json:"name"`
	Unit string `json:"unit,omitempty"` // "ns" and "bytes" are written with a fitting prefix
	Log  bool   `json:"log,omitempty"`  // for values above 0 only
}

// Line is one line of a Chart or Timeline.
type Line struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is a pair of x and y.
type Point [2]float64

// Mark is a value of x with a name.
type Mark struct {
	At   float64 `json:"at"`
	Name string  `json:"name"`
}
