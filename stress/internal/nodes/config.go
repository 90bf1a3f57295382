package nodes

import (
	"fmt"
	"time"
)

const Window = 4 << 20

const callTimeout = 2 * time.Second

func Secret(seed uint64) []byte { return fmt.Appendf(nil, "the secret of run %020d", seed) }

// CallWithin bounds how long a call may take to end, with a reply or an error.
const CallWithin = callTimeout + 3*time.Second
