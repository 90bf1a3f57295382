package symbol

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPackage(t *testing.T) {
	assert.Equal(t, "gopkg.in/yaml.v3", Package("gopkg.in/yaml%2ev3.(*Decoder).Decode"))
	assert.Equal(t, "example.com/x", Package("example.com/x.TestPool.func1"))
	assert.Equal(t, "sync", Package("sync.(*Map).Load"))
}
