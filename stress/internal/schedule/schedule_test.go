package schedule

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var texts = []string{
	"pos:7", "random:18446744073709551615", "pct:3:50:9", "plan:1:", "plan:1:2.4.3,2.5.t",
	"plan:1::0.3", "plan:8:1.1.2:0.0,5.17",
}

func TestTextComesBack(t *testing.T) {
	for _, text := range texts {
		s, err := Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, text, s.String())
	}
	s, err := Parse("plan:1:2.4.3,2.5.t:6.7")
	require.NoError(t, err)
	assert.Equal(t, Schedule{Strategy: Plan, Seed: 1,
		Steps: []Step{{Goroutine: 2, N: 4, To: 3}, {Goroutine: 2, N: 5, Time: true}},
		Draws: []Draw{{Index: 6, Value: 7}}}, s)
}

func TestWhatIsNoScheduleIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "7", "pos", "pos:", "pos:-1", "pos:1:2", "walk:1", "pct:3:9", "pct:999:1:1", "plan:1", "plan:1:2",
		"plan:1:2.3", "plan:1:2.3.4.5", "plan:1:t", "plan:1:2.3.4:", "plan:1:2.3.4:1", "plan:x:", "plan:1:1.1.4294967296",
	} {
		_, err := Parse(text)
		assert.ErrorIs(t, err, errSchedule, text)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			require.ErrorIs(t, err, errSchedule)
			return
		}
		again, err := Parse(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
