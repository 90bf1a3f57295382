package transporttest_test

import (
	"testing"

	"tensile/stress/node"
	"tensile/stress/transporttest"
)

// start is the function that package clustertest is given as well: its example has
// one for the nodes of package cluster.
var start func(testing.TB, node.Config) (node.Node, error)

// In a file of tests, this is the function TestStressTransport.
func testStressTransport(t *testing.T) { transporttest.TestTransport(t, start) }

// The test that takes the calls between nodes through the scenario.
func Example() { _ = testStressTransport }
