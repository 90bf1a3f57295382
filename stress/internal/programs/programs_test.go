package programs

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
)

// tally is a world: a counter that loses what overlaps, unless it is sound.
type tally struct {
	*Program
	sound bool
	n     atomic.Int64
	want  int64
}

func (w *tally) Rest() {
	time.Sleep(time.Second)
	if got := w.n.Load(); got != w.want {
		w.Violate("counted", "%d were added, the counter says %d", w.want, got)
	}
	w.Tried("counted")
}

func (w *tally) Finish() { w.Step("the end") }

func (w *tally) add(int) *Act {
	w.want++
	return &Act{Text: "add", Do: func() Next {
		if w.sound {
			w.n.Add(1)
			return nil
		}
		w.n.Store(w.n.Load() + 1)
		return nil
	}}
}

func counters(sound bool) *Vocabulary[*tally] {
	return &Vocabulary[*tally]{
		New: func(p *Program, _ testing.TB) *tally { return &tally{Program: p, sound: sound} },
		Ops: []Op[*tally]{
			{Name: "add", Weight: 2, Always: true, Begin: (*tally).add},
			{Name: "wait", Weight: 1, Begin: func(w *tally, choice int) *Act {
				return &Act{Text: "wait", Do: func() Next {
					time.Sleep(time.Duration(choice))
					w.Event("waited")
					return nil
				}}
			}},
			{Name: "nothing", Weight: 1, Begin: func(*tally, int) *Act { return nil }},
		},
		Events: []string{"waited"},
		Apart:  []Pair{{"nothing", "nothing"}, {"nothing", "waited"}, {"add", "nothing"}},
	}
}

func try(t *testing.T, v *Vocabulary[*tally]) explore.Outcome {
	out := explore.Try(t, v.Body(t), explore.Schedules(500))
	if !out.Controlled {
		t.Skip(out.Reason)
	}
	return out
}

func TestFindsWhatOverlaps(t *testing.T) {
	f := try(t, counters(false)).Failure
	require.NotNil(t, f)
	assert.Contains(t, f.Sentence, "counted: ")
	assert.Contains(t, f.Program, "add  |  add")
	assert.NotContains(t, f.Program, "wait", "it is shrunk")
}

func TestCountsWhatWasReached(t *testing.T) {
	v := counters(true)
	out := try(t, v)
	require.Nil(t, out.Failure)
	c := v.Coverage(out.Counts)
	assert.Equal(t, []string{"wait + nothing"}, c.Never)
	assert.Equal(t, "pairs that met: 5 of 6; never: wait + nothing", c.String())
	assert.InDelta(t, out.Schedules, c.Promises["counted"], 50, "all but those without a stage")
}

func TestAProgramHasFewLines(t *testing.T) {
	p := &Program{}
	for i := range 30 {
		p.Step(fmt.Sprint(i))
	}
	text := p.String()
	assert.Equal(t, mostLines, strings.Count(text, "\n")+1)
	assert.Contains(t, text, "... 20 more")
	assert.True(t, strings.HasSuffix(text, "29"))
}

func TestPackages(t *testing.T) {
	type subject = struct {
		*http.Server
		*assert.Assertions
		*explore.Run // of the kits' own
	}
	assert.Equal(t, []string{"github.com/stretchr/testify/assert"}, Packages(TestPackages, &subject{}))
}

func TestLeftOut(t *testing.T) {
	for _, c := range []struct {
		run, skip string
		out       bool
	}{
		{"", "", false},
		{"^TestX$", "", false},
		{"^TestX$/^explore$", "", false},
		{"^TestX$/^order$", "", true},
		{"TestX/exp/programs", "", false},
		{"", "/^explore$", true},
		{"", "TestY/explore", false},
		{"", "TestX/explore/crowd", false},
	} {
		for name, value := range map[string]string{"test.run": c.run, "test.skip": c.skip} {
			before := flag.Lookup(name).Value.String()
			require.NoError(t, flag.Set(name, value))
			defer func() { _ = flag.Set(name, before) }()
		}
		assert.Equal(t, c.out, leftOut("TestX", "explore"), "-run=%q -skip=%q", c.run, c.skip)
	}
}
