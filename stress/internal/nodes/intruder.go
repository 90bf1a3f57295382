package nodes

import (
	"context"
	"strings"
)

// Intruder has a node with another secret try to join and to call, and reads
// what it is told. It returns false if the nodes ask for none.
func (k *Nodes) Intruder(ctx context.Context, name string) bool {
	if !k.Offers().Secret {
		k.NotOffered("secret", "Errors().Unauthenticated is nil")
		return false
	}
	names := k.Names()
	k.mu.Lock()
	k.strange = append(k.strange, name)
	k.mu.Unlock()
	tap, err := startTap(k.Addr(names[0]))
	if err != nil {
		k.Fail("%s: %v", k.ID, err)
		return false
	}
	defer tap.close()
	var in Intrusion
	err = k.Ask(ctx, names[len(names)-1], Order{Do: "intrude", To: names, Start: &Start{
		Name: name, Bind: "127.0.0.1:0", Seeds: []string{tap.addr()}, Secret: []byte("another secret, which nobody shares"),
	}}, &in)
	switch {
	case err != nil:
		k.Violate("secret", "a node with a wrong secret: %v", err)
	case in.Served:
		k.Violate("secret", "a node with a wrong secret was served: its call was answered")
	case len(in.Members) > 0:
		k.Violate("secret", "a node with a wrong secret was accepted, and learnt of %v", in.Members)
	case in.Accepted:
		k.Violate("secret", "a node with a wrong secret was started without an error")
	case !in.Unauthenticated:
		k.Violate("secret", "the error of a node with a wrong secret is not Errors().Unauthenticated: %s", in.Err)
	}
	told := tap.close()
	for _, n := range names {
		if strings.Contains(told, n) || n != names[0] && strings.Contains(told, k.Addr(n)) {
			k.Violate("secret", "a node with a wrong secret was told of %s", n)
		}
	}
	return true
}
