// Package transporttest takes calls between nodes, each in a process of its own,
// through a scenario: it shows that every call ends once, with its own reply or
// an error that says why, that calls keep their deadlines, and that a peer that
// is slow, dead or hostile harms no other.
package transporttest
