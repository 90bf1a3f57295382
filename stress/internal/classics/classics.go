// Package classics has the classic mistakes of concurrent code. Each is a small
// mechanism with a sound twin that differs only in the mistake. They measure tools that
// find such mistakes: a tool must find every mistake, and must pass every twin.
package classics

// Case is a mistake and its twin.
type Case struct {
	Name   string
	Shows  Sign
	Memory bool // found only with points at plain memory or at the functions of sync/atomic
	// Run makes its goroutines, waits for them, and returns what is broken, or
	// nothing. The mistake may never come out of it, or panic: see Shows.
	Run func(sound bool) (broken string)
}

// Sign is how a mistake comes to light.
type Sign string

const (
	Broken   Sign = "broken" // Run says so
	Deadlock Sign = "deadlock"
	Panic    Sign = "panic"
	LeftOver Sign = "left over" // a goroutine outlives Run
)

// Cases are all there are.
var Cases = []Case{
	{"lost update", Broken, true, lostUpdate},
	{"lost append", Broken, true, lostAppend},
	{"torn pair", Broken, false, tornPair},
	{"check then act", Broken, false, checkThenAct},
	{"limit checked, then taken", Broken, false, limit},
	{"limit by functions of atomic", Broken, true, bareLimit},
	{"double-checked locking", Broken, true, doubleChecked},
	{"published before it is made", Broken, true, earlyPublication},
	{"two flags", Broken, true, twoFlags},
	{"ABA", Broken, false, aba},
	{"resurrected reference", Broken, false, resurrection},

	{"lost wake-up", Deadlock, false, lostWakeUp},
	{"signal without the lock", Deadlock, false, signalWithoutLock},
	{"if instead of for", Broken, false, ifInsteadOfFor},
	{"signal instead of broadcast", Deadlock, false, signalForMany},
	{"broken barrier", Deadlock, false, brokenBarrier},

	{"dining philosophers", Deadlock, false, dining},
	{"upgraded read lock", Deadlock, false, upgrade},
	{"read lock taken twice", Deadlock, false, readTwice},
	{"lock kept at a return", Deadlock, false, keptLock},

	{"closed twice", Panic, false, closedTwice},
	{"sent after close", Panic, false, sentAfterClose},
	{"used after close", Broken, false, usedAfterClose},
	{"last items left behind", Broken, false, leftBehind},
	{"Add within the goroutine", Broken, false, lateAdd},
	{"answer nobody waits for", LeftOver, false, abandonedAnswer},
	{"hand-off lost at cancel", Broken, false, lostHandOff},
	{"permit lost at a time-out", Broken, false, lostPermit},
	{"baton not passed on", Deadlock, false, lostBaton},
	{"timer stopped too late", Broken, false, lateTimer},

	{"variable of the loop", Broken, true, sharedVariable},
	{"overwritten error", Broken, false, overwrittenError},
	{"tick of the last setting", Broken, false, staleTick},
	{"work after the end", Broken, false, workAfterCancel},
	{"nobody is the last", Broken, false, nobodyLast},
	{"read and written back", Broken, false, writtenBack},
	{"buffer used again", Broken, true, reusedBuffer},
	{"list that shrinks", Panic, false, shrinks},
	{"checked, then loaded again", Panic, false, checkedThenLoaded},
	{"registered too late", Broken, false, registeredTooLate},
	{"called after it was taken off", Broken, false, calledAfterwards},
	{"started beside the end", LeftOver, false, startedTooLate},
	{"numbered, then sent", Broken, false, numberedThenSent},
	{"length, then receive", Deadlock, false, lengthThenReceive},
	{"written under a read lock", Broken, true, writtenWhileReading},
	{"stale answer", Broken, false, staleAnswer},

	{"changed beside the start", Broken, false, changedBesideStart},
	{"restored too early", Broken, false, restoredTooEarly},
	{"limit read twice", Panic, false, limitReadTwice},
	{"shared scratch space", Broken, true, sharedScratch},

	{"channel made too late", Deadlock, false, madeTooLate},
	{"called before it is stored", Panic, false, calledTooSoon},
	{"made twice", Broken, true, madeTwice},
	{"lost hook", Broken, true, lostHook},
	{"looked at when sent", Broken, false, lookedTooSoon},
	{"counted as it expires", Broken, false, countedTooSoon},

	{"begun after the stop", Broken, false, begunAfterStop},
	{"nil after Close", Panic, false, goneAtClose},
	{"closed and forgotten", LeftOver, false, closedAndForgotten},
	{"done too often", Panic, false, doneTooOften},
	{"closed by the receiver", Panic, false, closedByReceiver},
	{"logged after the end", Panic, false, loggedAfterEnd},
	{"taken at the time-out", Broken, true, takenAtTimeOut},

	{"read while it is emptied", Broken, true, readWhileEmptied},
	{"counted by atomics, copied without", Broken, true, copiedPlainly},
	{"changed in place", Broken, true, changedInPlace},
	{"filled again", Broken, true, filledAgain},
	{"looked for without the lock", Broken, true, lookedWithoutLock},
	{"length before the lock", Panic, false, lengthWithoutLock},
	{"changed afterwards", Broken, true, changedAfterwards},
	{"counted after it was queued", Broken, false, countedTooLate},
}
