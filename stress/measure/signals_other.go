//go:build !unix

package measure

func startSignals() {}
