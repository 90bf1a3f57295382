package cluster

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.Name = "" }, `Name ""`},
		{func(c *Config) { c.Name = "a b" }, `Name "a b"`},
		{func(c *Config) { c.Name = "a#1" }, `Name "a#1"`},
		{func(c *Config) { c.Name = "a/1" }, `Name "a/1"`},
		{func(c *Config) { c.Name = strings.Repeat("x", 65) }, "must be 1 to 64"},
		{func(c *Config) { c.Secret = []byte("short") }, "a secret of 5 bytes, must be 32 random bytes or more"},
		{func(c *Config) { c.AcceptedSecrets = [][]byte{nil} }, "a secret of 0 bytes"},
		{func(c *Config) { c.Bind = "localhost" }, `Bind "localhost"`},
		{func(c *Config) { c.Bind = "0.0.0.0:0" }, "Advertise is required"},
		{func(c *Config) { c.Advertise = "host:1" }, `Advertise "host:1"`},
		{func(c *Config) { c.Advertise = "127.0.0.1:0" }, `Advertise "127.0.0.1:0"`},
		{func(c *Config) { c.Seeds = []string{"nowhere"} }, `seed "nowhere"`},
		{func(c *Config) { c.MaxMessage = -1 }, "MaxMessage -1"},
		{func(c *Config) { c.MaxMessage = 1 << 31 }, "MaxMessage"},
		{func(c *Config) { c.Window = 100 }, "Window 100"},
		{func(c *Config) { c.CallTimeout = -1 }, "CallTimeout"},
	} {
		cfg := config("a")
		c.change(&cfg)
		_, err := Start(t.Context(), cfg)
		assert.ErrorIs(t, err, ErrConfig, c.says)
		assert.ErrorContains(t, err, c.says)
	}
}

func TestDefaults(t *testing.T) {
	cfg, err := config("a").withDefaults()
	require.NoError(t, err)
	assert.Equal(t, defaultWindow, cfg.Window)
	assert.Equal(t, defaultMaxMessage, cfg.MaxMessage)
	assert.Equal(t, defaultCallTimeout, cfg.CallTimeout)
	large := config("a")
	large.MaxMessage = 64 << 20
	cfg, err = large.withDefaults()
	require.NoError(t, err)
	assert.Equal(t, 64<<20, cfg.Window)
}
