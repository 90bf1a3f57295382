// Package chaostest takes an engine that injects faults, supervised workers, and
// nodes behind links that can be cut through a scenario: it shows that every
// fault strikes and is undone, that workers that die or hang are replaced and
// lose nothing that they took, and that nodes recover from both.
package chaostest
