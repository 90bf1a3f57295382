// Package explore has five exhibits: small types as somebody might write them, with
// one mistake each and the mend beside it, under tensile's stress/explore.
//
//	go test -v -run Exhibits .             # finds all five, and shows each report
//	MISTAKES=1 go test -run 'Exhibits/limiter' .   # fails as your own test would
package explore
