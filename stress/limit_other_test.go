//go:build !unix

package stress_test

const (
	limitVariable       = "TENSILE_DESCRIPTORS"
	canLimitDescriptors = false
)
