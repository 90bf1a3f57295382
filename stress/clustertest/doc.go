// Package clustertest takes nodes that form a cluster, each in a process of its
// own, through a scenario: it shows that they find one another, that all lists
// of members become the same, that a node that fails is noticed and one that
// lives is not accused, also where the network or the machine is bad.
package clustertest
