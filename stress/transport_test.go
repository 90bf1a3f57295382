package stress_test

import (
	"testing"

	"tensile/stress"
)

func TestStressTransport(t *testing.T) { stress.TestTransport(t, startNode) }

func BenchmarkCluster(b *testing.B) { stress.BenchmarkCluster(b, startNode) }

func BenchmarkTransport(b *testing.B) { stress.BenchmarkTransport(b, startNode) }
