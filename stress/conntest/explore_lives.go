package conntest

import (
	"fmt"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/programs"
)

// life is a connection that comes, sends some bytes, reads some, and goes.
type life struct {
	sends int // bytes
	waits bool
	reads int // bytes of the replies that come meanwhile
	goes  way
}

// lifeOf draws one by a number from 0.
func lifeOf(choice int) life {
	size := exchange.Size
	l := life{goes: hangsUp}
	l.sends = [...]int{0, size, 1, size - 1, 2 * size, size + 1, size / 2, 3*size + 7}[choice%8]
	l.waits = choice/8%2 == 1
	l.reads = [...]int{0, l.sends / size * size, 1, size / 2}[choice/16%4]
	if choice/2%2 == 1 {
		l.goes = resets
	}
	return l
}

func (l life) String() string {
	text := fmt.Sprintf("%d bytes out", l.sends)
	if l.waits {
		text += fmt.Sprintf(", %d in", l.reads)
	}
	if l.goes == resets {
		return text + ", reset"
	}
	return text + ", hangs up"
}

// beginLives has some come and go, one after the other.
func (m *model) beginLives(choice int) *programs.Act {
	n, l := [...]int{1, 2, 1, 5}[choice/16], lifeOf(choice)
	text := "a short life: " + l.String()
	if n > 1 {
		text = fmt.Sprintf("%d short lives: %v", n, l)
	}
	return m.act(&programs.Act{Text: text}, func() {
		m.busy(func() {
			for range n {
				m.live(l)
			}
		})
	})
}

// live is one life. Its connection counts as claimed, so that no act meddles.
func (m *model) live(l life) {
	reads := 0
	if l.waits {
		reads = l.reads
	}
	c := m.peer(rooms[0], reads)
	m.mu.Lock()
	c.claimed, c.leaves = true, true
	m.mu.Unlock()
	c.connects()
	if l.sends > 0 {
		c.sends(c.requests(l.sends/exchange.Size, l.sends%exchange.Size), "")
	}
	if l.waits {
		m.via.pause()
	}
	c.leave(l.goes)
}
