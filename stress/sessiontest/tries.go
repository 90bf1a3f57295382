package sessiontest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"tensile/stress/measure"
)

// attempts are what was tried so far of something that takes long, such as a recovery.
type attempts struct {
	mu    sync.Mutex
	pairs []measure.Pair // in ms
	again bool           // more may settle what they say
}

// add judges a criterion by all tries so far.
func (a *attempts) add(k *kit, criterion string, subject, control time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ms := func(d time.Duration) float64 { return max(d, time.Microsecond).Seconds() * 1e3 }
	a.pairs = append(a.pairs, measure.Pair{Subject: ms(subject), Control: ms(control)})
	a.again = k.Tried(criterion, a.pairs)
}

// trials are the tries of all clusters.
type trials struct {
	recovery, restored attempts
	busy               sync.Mutex // held while a recovery is measured
}

func (a *attempts) doubt() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.again
}

// tryAgain has a node killed in clusters of their own for as long as what was tried is in
// doubt: a single try fails nobody.
func (k *kit) tryAgain(ctx context.Context, _ *testing.T) {
	for try := 1; ctx.Err() == nil && !k.Failed() && (k.tries.recovery.doubt() || k.tries.restored.doubt()); try++ {
		own := k.apart(fmt.Sprintf("again-%d", try), false)
		own.repaired = make(chan bool, 1)
		own.kill(ctx, nil)
		own.madeUp()
		own.end()
	}
}
