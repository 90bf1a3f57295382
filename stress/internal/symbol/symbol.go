// Package symbol reads the names that the compiler gives to functions.
package symbol

import (
	"net/url"
	"strings"
)

// Package is the import path in the name of a function.
func Package(function string) string {
	slash := strings.LastIndex(function, "/") + 1
	last, _, _ := strings.Cut(function[slash:], ".")
	if whole, err := url.PathUnescape(last); err == nil { // as in gopkg.in/yaml%2ev3.F
		last = whole
	}
	return function[:slash] + last
}
