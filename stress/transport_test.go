package stress_test

import (
	"testing"

	"tensile/stress/clustertest"
	"tensile/stress/transporttest"
)

func TestStressTransport(t *testing.T) { transporttest.TestTransport(t, startNode) }

func BenchmarkCluster(b *testing.B) { clustertest.BenchmarkCluster(b, startNode) }

func BenchmarkTransport(b *testing.B) { transporttest.BenchmarkTransport(b, startNode) }
