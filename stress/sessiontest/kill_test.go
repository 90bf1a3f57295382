package sessiontest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRecovery(t *testing.T) {
	const killed = time.Second
	at := func(ms int) time.Duration { return killed + time.Duration(ms)*time.Millisecond }
	// usual is two operations in each ms, of 1 ms each, from 500 ms before the kill
	// to a second after it.
	usual := func(more ...completed) []completed {
		var all []completed
		for ms := -500; ms < 1000; ms++ {
			all = append(all, completed{from: at(ms - 1), to: at(ms)}, completed{from: at(ms - 1), to: at(ms)})
		}
		return append(all, more...)
	}
	several := func(n int, o completed) (all []completed) {
		for range n {
			all = append(all, o)
		}
		return all
	}
	for name, c := range map[string]struct {
		all       []completed
		want      time.Duration
		disturbed int
	}{
		"nothing was disturbed": {usual(), time.Millisecond, 0},
		"nothing was served for a while": {[]completed{{from: at(-2), to: at(-1)}, {from: at(699), to: at(700)}},
			700 * time.Millisecond, 0},
		"a node failed":             {usual(completed{at(-1), at(30), 1}), 30 * time.Millisecond, 1},
		"a node failed late":        {usual(completed{at(400), at(410), 1}), 410 * time.Millisecond, 1},
		"one session is not served": {usual(completed{from: at(0), to: at(900)}), 900 * time.Millisecond, 1},
		"all wait": {usual(several(10, completed{from: at(0), to: at(300)})...),
			300 * time.Millisecond, 10},
		"one in a hundred is slow": {usual(completed{from: at(0), to: at(300)}), time.Millisecond, 0},
		"slow as it was before": {usual(append(several(10, completed{from: at(0), to: at(300)}),
			completed{from: at(-300), to: at(-100)})...), time.Millisecond, 0},
		"what failed before does not count": {usual(completed{at(-10), at(-5), 1}), time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			last, disturbed := recovery(c.all, killed)
			assert.Equal(t, c.want, last)
			assert.Equal(t, c.disturbed, disturbed)
		})
	}
}
