package fleet

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"regexp"

	"tensile/stress/measure"
)

// protocol is the version of what is said here.
const protocol = 1

// leadSubject is where the lead of a fleet is spoken to. The name is hashed, as
// that of a test may hold what a subject must not.
func leadSubject(name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("tensile.fleet.lead.%x", sum[:8])
}

// agentSubject is where the lead speaks to an agent.
func agentSubject(id string) string { return "tensile.fleet.agent." + id }

// call is what is said to a lead.
type call struct {
	Protocol int    `json:"protocol"`
	Kind     string `json:"kind"`
	ID       string `json:"id"`               // of the caller
	Hello    *hello `json:"hello,omitempty"`  // with a join
	Reason   string `json:"reason,omitempty"` // with a leave
}

// The kinds of calls.
const (
	callJoin  = "join"  // an agent comes
	callLeave = "leave" // an agent goes before its end
	callAlive = "alive" // is there a lead?
)

// hello is how an agent introduces itself.
type hello struct {
	Host        string              `json:"host"`
	PID         int                 `json:"pid"`
	Load        definition          `json:"load"`
	Environment measure.Environment `json:"environment"`
}

func introduce(l Load) hello {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return hello{Host: cut(host, mostHost), PID: os.Getpid(), Load: l.definition(), Environment: measure.Fingerprint()}
}

// mostHost bounds the name of a machine, in bytes.
const mostHost = 256

// reply is the answer of a lead.
type reply struct {
	Lead    string `json:"lead"`
	Refused string `json:"refused,omitempty"` // why not to join
	Other   bool   `json:"other,omitempty"`   // since the load is another
}

// question is what a lead says to an agent. All may be asked again.
type question struct {
	Lead   string `json:"lead"`
	Kind   string `json:"kind"`
	Task   *task  `json:"task,omitempty"`   // with askPrepare
	At     int64  `json:"at_ns,omitempty"`  // with askStart: by the clock of the agent
	Offset int    `json:"offset,omitempty"` // with askPiece, as is Most
	Most   int    `json:"most,omitempty"`   // bytes in a message
	Reason string `json:"reason,omitempty"` // with askEnd: why it is not the regular one
}

// The kinds of questions.
const (
	askState   = "state"
	askPrepare = "prepare"
	askStart   = "start"
	askPiece   = "piece" // answered by a piece, if there is one
	askEnd     = "end"
)

// answer is what an agent says. Account is there once its part has been offered.
type answer struct {
	Clock   int64    `json:"clock_ns"` // when it was asked
	Started int      `json:"started"`  // operations so far
	Account *account `json:"account,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// ids are those that agents and leads draw.
var ids = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

func decodeCall(b []byte) (call, error) {
	c, err := decode[call](b)
	switch {
	case err != nil:
		return call{}, err
	case !ids.MatchString(c.ID):
		return call{}, fmt.Errorf("%w: %q is no name of a process", ErrMessage, cut(c.ID, 80))
	case c.Kind == callJoin && c.Hello == nil:
		return call{}, fmt.Errorf("%w: an agent that does not say what it is", ErrMessage)
	case c.Hello != nil && len(c.Hello.Host) > 2*mostHost:
		return call{}, fmt.Errorf("%w: a name of %d bytes for a machine", ErrMessage, len(c.Hello.Host))
	}
	return c, nil
}

func decodeAnswer(b []byte, t task) (answer, error) {
	a, err := decode[answer](b)
	if err != nil || a.Account == nil {
		return a, err
	}
	return a, a.Account.check(t)
}

// check tells whether an account adds up, and is that of the task.
func (a account) check(t task) error {
	whole := a.Asked == t.Count && a.Started <= a.Asked && a.Succeeded >= 0 && a.Failed >= 0 && a.Unfinished >= 0 &&
		a.Succeeded+a.Failed+a.Unfinished == a.Started && a.Size == t.Count*perOperation && len(a.Fault) <= 2*mostFault
	if !whole {
		return fmt.Errorf("%w: the account %+v of %d operations does not add up", ErrMessage, a, t.Count)
	}
	return nil
}

// decode reads a message.
func decode[T any](b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	return v, nil
}

// encode cannot fail: there is nothing in a message that JSON does not have.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("fleet: %T: %v", v, err))
	}
	return b
}
