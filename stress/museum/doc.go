// Package museum shows concurrency bugs that public libraries really had, and
// that the kits of tensile find: the version with the bug fails its kit, the
// fixed one passes. The exhibits are in museum_test.go, each with the public
// report.
//
//	go test -v .
package museum
