package programs

import "time"

const (
	// A subject may go on by itself, but not forever.
	mostMoves = 200
	// An act that lets time pass, and has not ended after so long, hangs in a call.
	longest = time.Hour
)

// Settle waits until nothing has moved for pause, in virtual time. look tells how many
// moves were seen so far, and how many acts are at work that must end before anything is
// at rest: where one of them has time pass, Settle waits for that.
func Settle(pause time.Duration, look func() (moves, working int)) {
	next := pause
	for moved := 0; moved < mostMoves; {
		before, _ := look()
		time.Sleep(next)
		moves, working := look()
		switch {
		case moves != before:
			moved++
			next = pause
		case working > 0 && next < longest:
			next *= 2
		default:
			return
		}
	}
}
