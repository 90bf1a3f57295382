package tensile

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tensile/chaos"
	"tensile/stress/explore"
)

var errItem = errors.New("an item")

// An item is handled once at most, whatever becomes of its worker, and the error
// of Do says what became of it.
func TestWorkersExplored(t *testing.T) {
	explore.Test(t, func(e *explore.Run) {
		const callers, each = 3, 2
		const (
			good = iota
			fails
			panics
			kinds
		)
		type item struct{ id, kind int }
		var handled [callers * each]atomic.Int32
		w, err := chaos.NewWorkers(chaos.WorkersConfig[item]{
			Workers: 2, Mailbox: 1, Restarts: 2, Hung: time.Duration(e.Draw(2)) * 10 * time.Millisecond,
			Start: func(int) chaos.Handler[item] {
				return func(_ context.Context, i item) error {
					handled[i.id].Add(1)
					switch i.kind {
					case panics:
						panic("an item")
					case fails:
						return errItem
					}
					return nil
				}
			},
		})
		e.Check(err == nil, "NewWorkers: %v", err)
		var items [callers * each]item
		var to [callers * each]int
		for i := range items {
			items[i], to[i] = item{i, e.Draw(kinds)}, e.Draw(2)
		}
		for c := range callers {
			e.Go("caller", func() {
				for i := c * each; i < (c+1)*each; i++ {
					err := w.Do(e.Context(), to[i], items[i])
					n := int(handled[i].Load())
					want := map[error]int{nil: good, errItem: fails, chaos.ErrCrashed: panics}
					for outcome, kind := range want {
						if errors.Is(err, outcome) {
							e.Check(n == 1 && items[i].kind == kind, "%v of an item of kind %d, handled %d times",
								err, items[i].kind, n)
						}
					}
					if errors.Is(err, chaos.ErrClosed) || errors.Is(err, chaos.ErrStopped) {
						e.Check(n == 0, "%v of an item that was handled %d times", err, n)
					}
					e.Check(n <= 1, "an item was handled %d times", n)
				}
			})
		}
		e.Go("closer", func() {
			if err := w.Close(); err != nil {
				e.Check(false, "Close: %v", err)
			}
		})
		e.Wait()
		err = w.Do(e.Context(), 0, item{})
		e.Check(errors.Is(err, chaos.ErrClosed) || errors.Is(err, chaos.ErrStopped), "Do after Close: %v", err)
	}, exploredBy()...)
}
