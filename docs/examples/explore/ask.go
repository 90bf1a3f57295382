package explore

import (
	"context"
	"time"
)

// Ask calls answer in a goroutine and waits for it no longer than a given time. If Faulty,
// the goroutine of an answer that comes too late waits forever.
func Ask(ctx context.Context, patience time.Duration, faulty bool, answer func() int) (int, error) {
	room := 1
	if faulty {
		room = 0
	}
	answers := make(chan int, room)
	go func() { answers <- answer() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case v := <-answers:
		return v, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
