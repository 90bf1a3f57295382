package stress_test

import (
	"testing"

	"tensile/stress"
)

func TestStressTransport(t *testing.T) { stress.TestTransport(t, startNode) }
