// Package explore has five exhibits for tensile's stress/explore: small types, each with one
// mistake that is easy to make, and its fix.
//
//	go test -v -run Exhibits .             # finds all five, and shows each report
//	MISTAKES=1 go test -run 'Exhibits/limiter' .   # fails as your own test would
package explore
