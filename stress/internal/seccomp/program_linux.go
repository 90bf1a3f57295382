//go:build amd64 || arm64

package seccomp

import "golang.org/x/sys/unix"

// Action is what becomes of a call.
type Action uint32

// Notify passes a call on to the supervisor.
const Notify Action = unix.SECCOMP_RET_USER_NOTIF

// Errno ends a call at once with an error number; 0 makes it succeed.
func Errno(n int) Action { return Action(unix.SECCOMP_RET_ERRNO | n) }

// Rule is what becomes of a system call. The low 32 bits of its arguments must
// meet all conditions.
type Rule struct {
	Number uint32
	If     []Cond
	Action Action
}

// Cond is a condition on an argument.
type Cond struct {
	Arg int
	// AnyOf holds where the argument has one of these bits, if it is not 0.
	AnyOf uint32
	// Is holds where the argument is that, if it is not 0.
	Is uint32
	// Not holds where the argument is none of these.
	Not []uint32
}

// Program is a list of rules, of which the first that fits applies. Calls that
// none fits are made as ever.
type Program []Rule

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg    = 16
)

// assemble translates the rules into instructions.
func (p Program) assemble() []unix.SockFilter {
	load := func(offset int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(offset)}
	}
	verdict := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	equal := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k}
	}
	const unset = 255 // a jump out of the rule, whose length is not known yet
	all := []unix.SockFilter{load(dataArch), equal(arch), verdict(unix.SECCOMP_RET_ALLOW)}
	all[1].Jt = 1
	for _, r := range p {
		number := equal(r.Number)
		number.Jf = unset
		rule := []unix.SockFilter{load(dataNumber), number}
		for _, c := range r.If {
			rule = append(rule, load(dataArg+8*c.Arg)) // both architectures are little-endian
			if c.AnyOf != 0 {
				rule = append(rule, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: c.AnyOf, Jf: unset})
			}
			if c.Is != 0 {
				is := equal(c.Is)
				is.Jf = unset
				rule = append(rule, is)
			}
			for _, k := range c.Not {
				not := equal(k)
				not.Jt = unset
				rule = append(rule, not)
			}
		}
		rule = append(rule, verdict(uint32(r.Action)))
		for i := range rule {
			if out := uint8(len(rule) - i - 1); rule[i].Jt == unset {
				rule[i].Jt = out
			} else if rule[i].Jf == unset {
				rule[i].Jf = out
			}
		}
		all = append(all, rule...)
	}
	return append(all, verdict(unix.SECCOMP_RET_ALLOW))
}
