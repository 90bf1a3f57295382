package exchange

import "fmt"

// Account is what became of connections and of the requests on them. Accounts
// of different Callers add up.
type Account struct {
	Connected int `json:"connected"` // connections that answered their first request
	Held      int `json:"held"`      // of those, how many have not failed and were not closed
	Touched   int `json:"touched"`   // connections that answered a request since Forget
	Sent      int `json:"sent"`      // requests
	Answered  int `json:"answered"`  // rightly

	Lost       int `json:"lost"`       // requests without a reply
	Duplicated int `json:"duplicated"` // replies beyond the first, or to nothing that was asked
	Misrouted  int `json:"misrouted"`  // replies on another connection than the request
	Stale      int `json:"stale"`      // replies from another state than the connection's
	Corrupted  int `json:"corrupted"`  // replies that answer nothing
	Broken     int `json:"broken"`     // connections that ended while in use
	Open       int `json:"open"`       // connections that did not end when the server was closed

	// Examples are the first few faults, in words.
	Examples []string `json:"examples,omitempty"`
}

const maxExamples = 3

// Faults is the number of all that is wrong.
func (a Account) Faults() int {
	return a.Lost + a.Duplicated + a.Misrouted + a.Stale + a.Corrupted + a.Broken + a.Open
}

// Add returns the sum of two accounts.
func (a Account) Add(b Account) Account {
	a.Connected += b.Connected
	a.Held += b.Held
	a.Touched += b.Touched
	a.Sent += b.Sent
	a.Answered += b.Answered
	a.Lost += b.Lost
	a.Duplicated += b.Duplicated
	a.Misrouted += b.Misrouted
	a.Stale += b.Stale
	a.Corrupted += b.Corrupted
	a.Broken += b.Broken
	a.Open += b.Open
	a.Examples = append(a.Examples[:len(a.Examples):len(a.Examples)], b.Examples...)
	return a
}

func (a *Account) note(count *int, format string, args ...any) {
	*count++
	if len(a.Examples) < maxExamples {
		a.Examples = append(a.Examples, fmt.Sprintf(format, args...))
	}
}
