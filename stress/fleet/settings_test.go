package fleet

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/settings"
)

func TestBadVariablesAreRefused(t *testing.T) {
	for _, c := range []struct{ entry, must string }{
		{"STRESS_FLEET=localhost:4222", "such as nats://user:password@host:4222"},
		{"STRESS_FLEET=http://localhost", "tls://host:4222"},
		{"STRESS_FLEET=nats://", "nats://user"},
		{"STRESS_FLEET=nats://host/path", "nats://user"},
		{"STRESS_FLEET=nats://host:port", "nats://user"},
		{"STRESS_FLEET=nats://host", "without STRESS_FLEET_ROLE, which must be lead or agent"},
		{"STRESS_FLEET_ROLE=boss", "must be lead or agent"},
		{"STRESS_FLEET_ROLE=agent", "without STRESS_FLEET, which must be the URL"},
		{"STRESS_FLEET_AGENTS=0", "from 1 to 1000"},
		{"STRESS_FLEET_AGENTS=1001", "from 1 to 1000"},
		{"STRESS_FLEET_AGENTS=3", "without STRESS_FLEET, which must be the URL"},
		{"STRESS_FLEET_NAME=two words", "letters, digits, hyphens and underscores"},
		{"STRESS_FLEET_NAME=nightly", "without STRESS_FLEET, which must be the URL"},
		{"STRESS_FLEET_ROL=agent", "must be STRESS_FLEET_ROLE"},
		{"STRESS_FLEETS=nats://host", "must be STRESS_FLEET"},
	} {
		_, err := fromEnvironment([]string{c.entry})
		if !assert.ErrorIs(t, err, settings.ErrSetting, c.entry) {
			continue
		}
		name, value, _ := strings.Cut(c.entry, "=")
		assert.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, `"`+value+`"`)
		assert.ErrorContains(t, err, c.must)
	}
}

func TestVariables(t *testing.T) {
	at := func(entries ...string) []string { return append(entries, "STRESS_FLEET=tls://me:secret@host:4222") }
	o, err := fromEnvironment(at("STRESS_FLEET_ROLE=lead", "STRESS_FLEET_AGENTS=3", "STRESS_FLEET_NAME=night-ly_2"))
	require.NoError(t, err)
	assert.Equal(t, Options{Server: "tls://me:secret@host:4222", Role: Lead, Agents: 3, Name: "night-ly_2"}, o)
	o, err = fromEnvironment(at("STRESS_FLEET_ROLE=agent"))
	require.NoError(t, err, "only the lead has to know how many agents there are")
	assert.Equal(t, Agent, o.Role)
	_, err = fromEnvironment(at("STRESS_FLEET_ROLE=lead"))
	assert.ErrorContains(t, err, "without STRESS_FLEET_AGENTS, which must be a whole number from 1 to 1000")
	o, err = fromEnvironment([]string{"STRESS_SCALE=7", "STRESS_NATS_URL=x"})
	require.NoError(t, err)
	assert.Equal(t, Alone, o.Role)
}
