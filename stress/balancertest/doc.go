// Package balancertest takes a balancer through a scenario: it shows that each
// strategy gives a node its share, up to a bound, that keys stay where they are
// when a node comes or goes, and that nobody is sent to a node that is down.
package balancertest
