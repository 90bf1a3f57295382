package proc

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
)

// The descriptors of a child: os/exec numbers extra files from 3.
const (
	requestsFD = 3
	repliesFD  = 4
)

// Descriptors are those by which a child speaks to its parent.
func Descriptors() []int { return []int{requestsFD, repliesFD} }

// request is what a parent sends; the first one carries the configuration.
type request struct {
	ID   uint64          `json:"id"`
	Body json.RawMessage `json:"body"`
}

// reply is what a child sends: the answer to a request, or an event if its ID
// is 0.
type reply struct {
	ID    uint64          `json:"id"`
	Body  json.RawMessage `json:"body,omitempty"`
	Error string          `json:"error,omitempty"`
}

// Link is a child's side of the pipes. Its methods are safe for concurrent use.
type Link struct {
	config json.RawMessage
	in     *json.Decoder
	mu     sync.Mutex
	out    *json.Encoder
}

// openLink takes up the pipes and waits for the configuration.
func openLink() (*Link, error) {
	// Where it reaches children, Ctrl-C means the parent, which says when a child ends.
	signal.Ignore(os.Interrupt)
	keepFromChildren(requestsFD, repliesFD) // a program that is started here must not hold them open
	in, out := os.NewFile(requestsFD, "requests"), os.NewFile(repliesFD, "replies")
	l := &Link{in: json.NewDecoder(bufio.NewReader(in)), out: json.NewEncoder(out)}
	var first request
	if err := l.in.Decode(&first); err != nil {
		return nil, fmt.Errorf("%w: no configuration: %w", ErrChild, err)
	}
	l.config = first.Body
	return l, nil
}

// Config decodes what the parent gave to Start.
func (l *Link) Config(into any) error { return json.Unmarshal(l.config, into) }

// Emit tells the parent of an event.
func (l *Link) Emit(event any) error { return l.write(reply{}, event) }

func (l *Link) write(r reply, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r.Body = text
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Encode(r)
}

// Serve answers every request by answer, each on a goroutine of its own, and
// returns once the parent has closed its end or is gone. It is called once.
func Serve[Q any](l *Link, answer func(Q) (any, error)) error {
	for {
		var r request
		if err := l.in.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		go func() {
			var asked Q
			var body any
			err := json.Unmarshal(r.Body, &asked)
			if err == nil {
				body, err = answer(asked)
			}
			out := reply{ID: r.ID}
			if err != nil {
				out.Error = err.Error()
			}
			// A parent that is gone ends this process by the next Decode.
			_ = l.write(out, body)
		}()
	}
}
