package fleet

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// anyCalls are what may be said to a lead, and what must not.
var anyCalls = [][]byte{
	nil, []byte("{}"), []byte("null"), []byte(`{"id":"a"}{"id":"b"}`), []byte(`{"kind":"join","id":"a b"}`),
	[]byte(`{"protocol":1,"kind":"join","id":"A1"}`),
	encode(call{Protocol: protocol, Kind: callJoin, ID: "A1",
		Hello: &hello{Host: "here", Load: definition{1, time.Second, "constant"}}}),
	encode(call{Protocol: protocol, Kind: callLeave, ID: "A1", Reason: "why not"}),
}

func FuzzDecodeCall(f *testing.F) {
	for _, b := range anyCalls {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCall(b)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatalf("%q: error of another kind: %v", b, err)
			}
			return
		}
		if !ids.MatchString(c.ID) || c.Kind == callJoin && c.Hello == nil {
			t.Fatalf("%q was taken", b)
		}
		again, err := decodeCall(encode(c))
		assert.NoError(t, err)
		assert.Equal(t, c, again)
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{}`), 3)
	f.Add(encode(answer{Clock: 5, Account: &account{Asked: 3, Started: 3, Succeeded: 2, Failed: 1,
		Size: 3 * perOperation}}), 3)
	f.Add(encode(answer{Account: &account{Asked: 3, Started: 4, Succeeded: 4, Size: 48}}), 3)
	f.Add(encode(answer{Account: &account{Asked: 3, Started: 3, Succeeded: 4, Unfinished: -1, Size: 48}}), 3)
	f.Fuzz(func(t *testing.T, b []byte, count int) {
		a, err := decodeAnswer(b, task{Count: count})
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatalf("%q: error of another kind: %v", b, err)
			}
			return
		}
		if x := a.Account; x != nil {
			if x.Started > count || x.Started < 0 || x.Succeeded < 0 || x.Failed < 0 || x.Unfinished < 0 ||
				x.Succeeded+x.Failed+x.Unfinished != x.Started || x.Size != count*perOperation {
				t.Fatalf("%q was taken for %d operations", b, count)
			}
		}
	})
}

// TestMessagesThatAreRefused: the fuzz tests say that no other is taken, this
// that these are not.
func TestMessagesThatAreRefused(t *testing.T) {
	for _, b := range anyCalls[:6] {
		_, err := decodeCall(b)
		assert.ErrorIs(t, err, ErrMessage, "%q", b)
	}
	for _, b := range anyCalls[6:] {
		_, err := decodeCall(b)
		assert.NoError(t, err, "%q", b)
	}
	good := account{Asked: 3, Started: 3, Succeeded: 1, Failed: 1, Unfinished: 1, Size: 3 * perOperation}
	assert.NoError(t, good.check(task{Count: 3}))
	for _, spoil := range []func(*account){
		func(a *account) { a.Asked++ },
		func(a *account) { a.Started-- },
		func(a *account) { a.Started, a.Succeeded = 4, 2 },
		func(a *account) { a.Succeeded++ },
		func(a *account) { a.Succeeded, a.Unfinished = 3, -1 },
		func(a *account) { a.Size-- },
	} {
		bad := good
		spoil(&bad)
		assert.ErrorIs(t, bad.check(task{Count: 3}), ErrMessage, "%+v", bad)
	}
}

// TestQuestionsThatAreRefused: an agent does nothing that is no part of its load,
// nor what another lead says.
func TestQuestionsThatAreRefused(t *testing.T) {
	l := quick()
	right := l.split(2, Options{Patience: time.Second})[1]
	assert.True(t, l.accepts(right))
	for _, spoil := range []func(*task){
		func(t *task) { t.Number = -1 },
		func(t *task) { t.First = -1 },
		func(t *task) { t.First = 51 },
		func(t *task) { t.First = 1 << 62 },
		func(t *task) { t.Count = 0 },
		func(t *task) { t.Count = 101 },
		func(t *task) { t.Rate = 0 },
		func(t *task) { t.Rate = 1001 },
		func(t *task) { t.Stagger = -1 },
		func(t *task) { t.Patience = 0 },
		func(t *task) { t.Patience = longest + 1 },
	} {
		wrong := right
		spoil(&wrong)
		assert.False(t, l.accepts(wrong), "%+v", wrong)
		a := newAgent(Options{}, l)
		assert.ErrorIs(t, a.follow(question{Kind: askPrepare, Task: &wrong}), ErrMessage)
		assert.ErrorIs(t, a.follow(question{Kind: askStart}), ErrMessage)
	}
	a := newAgent(Options{}, l)
	assert.ErrorIs(t, a.follow(question{Kind: askPrepare}), ErrMessage)
	assert.ErrorIs(t, a.follow(question{Kind: "dance"}), ErrMessage)
}
