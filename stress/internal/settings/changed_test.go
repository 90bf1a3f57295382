package settings

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestChanged(t *testing.T) {
	assert.Equal(t, []string{"STRESS_SEED=7", "STRESS_SCALE=2000"},
		Changed([]string{"HOME=/", "STRESS_RATE=", "STRESS_SEED=1", "STRESS_SCALE=1e6"}, 7, 2000))
	assert.Equal(t, []string{"STRESS_SEED=7", "STRESS_SCALE=1", "STRESS_ENGINE=nats",
		"STRESS_POSTGRES_URL='postgres://***@h/db?a=b'", "STRESS_TARGETS=pooling.p99=1,routing.mean=2"},
		Changed([]string{"STRESS_TARGETS=pooling.p99=1,routing.mean=2", "STRESS_OUT=/elsewhere", "STRESS_SCHEDULE=pos:7",
			"STRESS_POSTGRES_URL=postgres://user:secret@h/db?a=b", "STRESS_ENGINE=nats"}, 7, 1))
	assert.Equal(t, `'it'\''s a name'`, word("it's a name"))
}
