package nodes

import (
	"fmt"
	"time"
)

const Window = 4 << 20

// callTimeout is how long a call may take where few are in flight.
const callTimeout = 2 * time.Second

// CallTimeout is how long a call may take beside n others, of which perSecond are to be
// carried: an eighth of that is slow, and no fault of the kind that hangs.
func CallTimeout(n int, perSecond float64) time.Duration {
	return callTimeout + time.Duration(slowTimes*float64(n)/perSecond*float64(time.Second))
}

const slowTimes = 8

func Secret(seed uint64) []byte { return fmt.Appendf(nil, "the secret of run %020d", seed) }

// CallWithin bounds how long a call may take to end, with a reply or an error.
func CallWithin(timeout time.Duration) time.Duration { return timeout + 3*time.Second }
