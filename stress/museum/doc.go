// Package museum shows concurrency bugs that public libraries once had, and that the
// kits of tensile find. The version with the bug fails its kit, and the fixed version
// passes. museum_test.go has the exhibits, each with its public report.
//
//	go test -v .
package museum
