package registry_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/registry"
)

func open(t *testing.T, cfg registry.Config) *registry.Registry[int] {
	t.Helper()
	r, err := registry.New[int](cfg)
	require.NoError(t, err)
	return r
}

func TestErrorsAreDistinctAndCarryTheName(t *testing.T) {
	_, err := registry.New[int](registry.Config{Mailbox: -1})
	assert.ErrorIs(t, err, registry.ErrConfig)

	r := open(t, registry.Config{Mailbox: 1})
	hold := make(chan struct{})
	require.NoError(t, r.Register("a", func(int) { <-hold }))
	require.NoError(t, r.Send("a", 1))
	for want, got := range map[error]error{
		registry.ErrUnknown: r.Send("b", 1),
		registry.ErrTaken:   r.Register("a", func(int) {}),
		registry.ErrFull:    r.Send("a", 2),
	} {
		assert.ErrorIs(t, got, want)
		assert.Regexp(t, `"[ab]"`, got.Error())
	}
	close(hold)
	assert.NoError(t, r.Close())
	assert.ErrorIs(t, r.Send("a", 1), registry.ErrClosed)
}

func TestOrderAndUnregisterLoseNothing(t *testing.T) {
	r := open(t, registry.Config{Mailbox: 10_000})
	var mu sync.Mutex
	var got []int
	require.NoError(t, r.Register("a", func(n int) {
		mu.Lock()
		got = append(got, n)
		mu.Unlock()
	}))
	for i := range 1000 {
		require.NoError(t, r.Send("a", i))
	}
	require.NoError(t, r.Unregister("a"))
	assert.ErrorIs(t, r.Send("a", 0), registry.ErrUnknown)
	assert.NoError(t, r.Close())
	require.Len(t, got, 1000)
	for i, n := range got {
		assert.Equal(t, i, n)
	}
}

func TestPanicAndGoexitHarmNobodyElse(t *testing.T) {
	var told []string
	r := open(t, registry.Config{OnPanic: func(name string, _ any, _ []byte) { told = append(told, name) }})
	handled := make(chan int, 2)
	require.NoError(t, r.Register("bad", func(n int) {
		if n == 0 {
			panic("on purpose")
		}
		if n == 1 {
			runtime.Goexit()
		}
		handled <- n
	}))
	for n := range 3 {
		require.NoError(t, r.Send("bad", n))
	}
	assert.Equal(t, 2, <-handled)
	assert.NoError(t, r.Close())
	assert.Contains(t, told, "bad")
}

func TestBlockedHandlerHoldsUpNobodyElse(t *testing.T) {
	r := open(t, registry.Config{})
	hold, reached := make(chan struct{}), make(chan struct{}, 100)
	names := []string{}
	for i := range 100 {
		name := string(rune('A' + i))
		names = append(names, name)
		require.NoError(t, r.Register(name+"x", func(int) { <-hold }))
		require.NoError(t, r.Register(name, func(int) { reached <- struct{}{} }))
		require.NoError(t, r.Send(name+"x", 0))
	}
	for _, name := range names {
		require.NoError(t, r.Send(name, 0))
	}
	for range names {
		<-reached
	}
	close(hold)
	assert.NoError(t, r.Close())
}
