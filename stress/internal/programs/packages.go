package programs

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"tensile/stress/internal/symbol"
)

// Packages are those of a subject, by import path: where the function that opens it
// is, and the types that it is made of. The standard library's and the kits' are not
// among them.
func Packages(open any, subjects ...any) []string {
	found := packageFinder{seen: make(map[reflect.Type]bool)}
	if f := runtime.FuncForPC(reflect.ValueOf(open).Pointer()); f != nil {
		found.add(symbol.Package(f.Name()))
	}
	for _, s := range subjects {
		found.walk(reflect.TypeOf(s))
	}
	slices.Sort(found.paths)
	return found.paths
}

// Networked reports whether a subject is made of a type of package net: then it
// reaches beyond what virtual time and a schedule control.
func Networked(subject any) bool {
	found := packageFinder{seen: make(map[reflect.Type]bool)}
	found.walk(reflect.TypeOf(subject))
	for t := range found.seen {
		if t.PkgPath() == "net" {
			return true
		}
	}
	return false
}

type packageFinder struct {
	seen  map[reflect.Type]bool
	paths []string
}

func (p *packageFinder) add(path string) {
	path = strings.TrimSuffix(path, "_test") // the compiler is told of both
	if path != "" && !slices.Contains(p.paths, path) && observable(path) {
		p.paths = append(p.paths, path)
	}
}

// walk adds the packages of a type and of those that it is made of.
func (p *packageFinder) walk(t reflect.Type) {
	if t == nil || p.seen[t] {
		return
	}
	p.seen[t] = true
	if t.PkgPath() != "" {
		p.add(t.PkgPath())
		if !observable(strings.TrimSuffix(t.PkgPath(), "_test")) {
			return
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		p.walk(t.Elem())
	case reflect.Map:
		p.walk(t.Key())
		p.walk(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			p.walk(t.Field(i).Type)
		}
	}
}

// observable reports whether a package is of a module, and neither of the standard
// library nor of the kits themselves. A test binary knows only its main module; the
// paths of others begin with a domain.
func observable(path string) bool {
	if strings.HasPrefix(path, "tensile/stress/") {
		return false
	}
	first, _, _ := strings.Cut(path, "/")
	if strings.Contains(first, ".") {
		return true
	}
	info, ok := debug.ReadBuildInfo()
	return ok && info.Main.Path != "" && (path == info.Main.Path || strings.HasPrefix(path, info.Main.Path+"/"))
}
