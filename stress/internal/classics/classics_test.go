package classics

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// Under the stock scheduler most mistakes stay hidden; a twin must never show
// any.
func TestTwinsAreSound(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Cases {
		assert.False(t, names[c.Name], "%s: a name of its own", c.Name)
		names[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			for range 100 {
				synctest.Test(t, func(t *testing.T) { assert.Empty(t, c.Run(true)) })
			}
		})
	}
}

// gobench names, for each of the 35 kernels of GoBench that do not block (Yuan et al.,
// CGO 2021), the mistake of the same kind here. A kernel has the number of the public
// report.
var gobench = map[string]string{
	"cockroach#35501":  "variable of the loop",
	"cockroach#4407":   "begun after the stop",
	"etcd#3077":        "channel made too late",
	"etcd#4876":        "changed beside the start",
	"etcd#8194":        "limit read twice",
	"etcd#9446":        "read while it is emptied",
	"grpc#1687":        "sent after close",
	"grpc#1748":        "restored too early",
	"grpc#2371":        "nil after Close",
	"grpc#3090":        "called before it is stored",
	"istio#8144":       "counted as it expires",
	"istio#8214":       "counted by atomics, copied without",
	"istio#8967":       "closed and forgotten",
	"istio#16742":      "written under a read lock",
	"kubernetes#13058": "done too often",
	"kubernetes#49404": "looked at when sent",
	"kubernetes#70892": "shared scratch space",
	"kubernetes#77796": "filled again",
	"kubernetes#79631": "looked for without the lock",
	"kubernetes#80284": "lost hook",
	"kubernetes#81091": "lost update",
	"kubernetes#81148": "changed afterwards",
	"kubernetes#82239": "changed in place",
	"kubernetes#82550": "made twice",
	"kubernetes#88331": "length before the lock",
	"kubernetes#89164": "filled again",
	"moby#18412":       "taken at the time-out",
	"moby#22941":       "variable of the loop",
	"moby#27037":       "variable of the loop",
	"serving#3068":     "sent after close",
	"serving#3148":     "registered too late",
	"serving#4908":     "logged after the end",
	"serving#5865":     "closed by the receiver",
	"serving#6171":     "logged after the end",
	"serving#6472":     "counted after it was queued",
}

func TestKindsOfGoBench(t *testing.T) {
	assert.Len(t, gobench, 35)
	for kernel, name := range gobench {
		assert.True(t, slices.ContainsFunc(Cases, func(c Case) bool { return c.Name == name }), "%s: %s", kernel, name)
	}
}
