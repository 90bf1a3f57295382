package conntest

import (
	"fmt"
	"math"
	"os"

	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
)

const (
	// mostPairs bounds the processes that TCP connections are spread over.
	mostPairs = 8
	// bytesOfTCP is about what a TCP connection takes with both ends: in the
	// kernel, in the server and in the caller.
	bytesOfTCP = 20_000
	// churnFiles are descriptors for connections that come and go while others are
	// held: a server may close those that have gone later.
	churnFiles = 256
)

// planTCP decides how many TCP connections are held and by how many pairs of
// processes: by one where a process may have enough descriptors, else by as many
// as it takes. What does not fit is cut, and said.
func (k *kit) planTCP(d *kind) {
	d.n, d.pairs = k.N, 1
	limit, restore := measure.RaiseDescriptorLimit(k.N + scenario.SpareFiles + churnFiles)
	k.T.Cleanup(restore)
	if limit != nil {
		files := int(min(*limit, math.MaxInt32))
		fit := max(files-scenario.SpareFiles-min(churnFiles, files/4), 1)
		d.pairs = (k.N + fit - 1) / fit
		if d.pairs > 1 {
			k.Note("TCP connections are held by %d pairs of processes: the descriptor limit of a process is %d and could not "+
				"be raised.",
				min(d.pairs, mostPairs), *limit)
		}
		k.cut(d, mostPairs*fit, fmt.Sprintf("the descriptor limit of a process is %d", *limit))
	}
	if available := measure.MemoryAvailable(); available != nil {
		k.cut(d, int(*available/2/bytesOfTCP), fmt.Sprintf("%d MB of memory are available", *available/1e6))
	}
	d.pairs = min(d.pairs, mostPairs, d.n)
	ports := portsOfAddress() * addresses
	k.cut(d, ports, fmt.Sprintf("there are %d ports to call from", ports))
}

// cut lowers the number of connections to what fits, and says why.
func (k *kit) cut(d *kind, fit int, why string) {
	if fit = max(fit, 1); fit < d.n {
		k.Note("TCP connections cut from %d to %d: %s.", d.n, fit, why)
		d.n = fit
	}
}

// portsOfAddress is how many connections are opened from one address: a quarter
// of the ports that the system gives out. Linux looks for a free one among half
// of them first, and one by one: where most of those are taken a connection takes
// a thousand times as long.
func portsOfAddress() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var from, to int
	if err == nil {
		_, err = fmt.Sscan(string(text), &from, &to)
	}
	if err != nil || to < from {
		from, to = 49152, 65535 // as IANA has it
	}
	return max((to-from+1)/4, 1)
}
