package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func nothing(context.Context, int) error { return nil }

func TestAlone(t *testing.T) {
	s := newSubject(t)
	c, err := dial(s.listener.Addr().String(), 8)
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.close(8)) }()
	r, err := Run(t.Context(), Options{}, Load{Rate: 2000, For: 500 * time.Millisecond, Do: c.do})
	require.NoError(t, err)
	asked, again := s.counted(0, 1000)
	assert.Equal(t, 1000, asked)
	assert.Zero(t, again)
	assert.Equal(t, []int{1000, 1000, 1000, 0, 0}, []int{r.Asked, r.Started, r.Succeeded, r.Failed, r.Unfinished})
	assert.Equal(t, 1000, r.Latency.N)
	assert.True(t, r.Complete())
	t.Log(r)
}

func TestInOneProcess(t *testing.T) {
	s := newSubject(t)
	n := natsServer(t)
	c, err := dial(s.listener.Addr().String(), 8)
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.close(8)) }()
	l := Load{Rate: 3000, For: 500 * time.Millisecond, Do: c.do}
	ended := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := Run(t.Context(), Options{Role: Agent, Server: address(n), Name: "x"}, l)
			ended <- err
		}()
	}
	r, err := Run(t.Context(), Options{Role: Lead, Server: address(n), Name: "x", Agents: 3}, l)
	require.NoError(t, err)
	for range 3 {
		assert.NoError(t, <-ended)
	}
	t.Log(r)
	assert.Equal(t, 1500, r.Succeeded)
	asked, again := s.counted(0, 1500)
	assert.Equal(t, 1500, asked)
	assert.Zero(t, again)
}
