package programs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ledger is a world in real time: it owes what was added, and forgets what comes beside
// something else, unless it is sound.
type ledger struct {
	*Program
	sound     bool
	mu        Lock
	busy      int
	got, want int
}

func (w *ledger) Rest() {
	for w.Context().Err() == nil {
		w.mu.Lock()
		busy := w.busy
		w.mu.Unlock()
		if busy == 0 {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	if w.got != w.want {
		w.Violate("counted", "%d were added, the ledger says %d", w.want, w.got)
	}
}

func (w *ledger) Finish() { w.Step("the end") }

func (w *ledger) add(int) *Act {
	w.want++
	w.busy++
	return &Act{Text: "add", Do: func() Next {
		w.mu.Lock()
		alone := w.busy == 1
		if w.sound || alone {
			w.got++
		}
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
		w.mu.Lock()
		w.busy--
		w.mu.Unlock()
		return nil
	}}
}

func ledgers(sound bool) *Vocabulary[*ledger] {
	return &Vocabulary[*ledger]{
		New: func(p *Program, _ testing.TB) *ledger { return &ledger{Program: p, sound: sound} },
		Ops: []Op[*ledger]{
			{Name: "add", Weight: 1, Always: true, Begin: (*ledger).add},
			{
				Name: "look", Weight: 3, Begin: func(*ledger, int) *Act {
					return &Act{Text: "look", Do: func() Next { return nil }}
				},
			},
		},
	}
}

var budget = Budget{Least: 300, One: time.Minute, Shrink: time.Minute}

func TestFindsAndShrinksInRealTime(t *testing.T) {
	out := ledgers(false).Try(t.Context(), t, 1, budget)
	f := out.Failure
	require.NotNil(t, f)
	assert.Contains(t, f.Sentence, "counted: ")
	assert.Contains(t, f.Program, "add  |  add")
	assert.NotContains(t, f.Program, "look", "it is shrunk")
	assert.Equal(t, 2, f.Again)

	t.Setenv(environment, f.Text)
	again := ledgers(false).Try(t.Context(), t, 7, budget)
	require.NotNil(t, again.Failure, "the program that was printed")
	assert.Equal(t, 1, again.Programs)
	assert.Equal(t, f.Program, again.Failure.Program)
}

func TestSoundInRealTime(t *testing.T) {
	v := ledgers(true)
	out := v.Try(t.Context(), t, 1, budget)
	require.Nil(t, out.Failure)
	assert.Equal(t, budget.Least, out.Programs)
	assert.Zero(t, out.Late)
	assert.Equal(t, 3, v.Coverage(out.Counts).All)
	assert.Positive(t, v.Coverage(out.Counts).Tried)
}

func TestEveryOperationIsDealt(t *testing.T) {
	v := ledgers(true)
	v.Deal, v.Stages = true, 2
	const ops = 20
	begun := make(map[int]bool)
	for i := range ops {
		v.Ops = append(v.Ops, Op[*ledger]{Name: fmt.Sprint("rare ", i), Begin: func(*ledger, int) *Act {
			begun[i] = true
			return &Act{Text: "rare"}
		}})
	}
	v.Try(t.Context(), t, 1, Budget{Least: len(v.Ops), One: time.Minute})
	assert.Len(t, begun, ops, "they are drawn by no swarm, as they weigh nothing")
}

func TestNothingIsSaidOfWhatIsLate(t *testing.T) {
	v := &Vocabulary[*ledger]{
		New: func(p *Program, _ testing.TB) *ledger { return &ledger{Program: p} },
		Script: func(p *Program, w *ledger) {
			<-p.Context().Done()
			w.Violate("counted", "nobody waits any longer")
		},
	}
	out := v.Try(t.Context(), t, 1, Budget{Least: 1, One: time.Millisecond})
	assert.Nil(t, out.Failure)
	assert.Equal(t, 1, out.Late)
}

func TestAPanicInRealTimeFailsTheProgram(t *testing.T) {
	v := &Vocabulary[*ledger]{
		New:    func(p *Program, _ testing.TB) *ledger { return &ledger{Program: p} },
		Script: func(*Program, *ledger) { panic("struck") },
	}
	out := v.Try(t.Context(), t, 1, Budget{Least: 1, One: time.Minute})
	require.NotNil(t, out.Failure)
	assert.Contains(t, out.Failure.Sentence, "panic in program: struck")
}

func TestProgramsAsText(t *testing.T) {
	for text, choices := range map[string][]int{
		".":       nil,
		"0.1.":    {0, 1},
		"zz.0.9.": {35*36 + 35, 0, 9},
	} {
		got, err := parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, choices, got, text)
		assert.Equal(t, text, format(append(got, 0, 0)))
	}
	for _, bad := range []string{"", "1", "1.x!.", "-1.", "..", "zzzzzzzzzz."} {
		_, err := parse(bad)
		assert.ErrorContains(t, err, "bad program", bad)
	}
}

func TestNoProgramBeginsWhenTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Zero(t, ledgers(true).Try(ctx, t, 1, budget).Programs)
}
