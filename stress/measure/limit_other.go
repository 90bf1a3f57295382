//go:build !unix

package measure

func descriptorLimit() *uint64 { return nil }
