// A module that is no part of tensile and takes its own pools and its own
// router through the kits. See outside_test.go in tensile/stress, which builds
// and runs it.
module example.com/outside

go 1.26.0

require tensile v0.0.0

replace tensile => ../../..
