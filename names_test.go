package tensile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExportedNamesAreUsed: what an internal package exports, another package uses, in
// this module or in a nested one.
func TestExportedNamesAreUsed(t *testing.T) {
	unused, exported, err := unusedExports(os.DirFS("."))
	require.NoError(t, err)
	assert.Empty(t, unused)
	assert.Greater(t, exported, 300, "names looked at")
}

func TestExportedNamesThatNoOtherUsesAreSeen(t *testing.T) {
	const declares = "package p\n" +
		"type T int\n" + // it may be in the signature of F
		"var V, W int\n" +
		"func F() T { return T(V) }\n" +
		"func (T) M() {}\n" +
		"func (T) String() string { return \"\" }\n" +
		"func (t T) N() { t.M() }\n"
	tree := fstest.MapFS{
		"stress/internal/p/p.go":      {Data: []byte(declares)},
		"stress/internal/p/p_test.go": {Data: []byte("package p\nfunc g() { F().M() }\n")},
		"stress/q/q.go":               {Data: []byte("package q\nvar v = other.V\n")},
	}
	says := func(want ...string) {
		unused, _, err := unusedExports(tree)
		require.NoError(t, err)
		for i, name := range want {
			want[i] = "stress/internal/p/p.go: no other package uses " + name
		}
		assert.Equal(t, want, unused)
	}
	says("p.V", "p.W", "p.F", ".M", ".N")
	tree["cmd/m.go"] = &fstest.MapFile{Data: []byte("package m\nfunc f() { p.F().M(); p.V = 1 }\n")}
	says("p.W", ".N")
	tree["stress/internal/p/x_test.go"] = &fstest.MapFile{Data: []byte("package p_test\nfunc f() { p.F().N() }\n")}
	says("p.W")
}

// outside are methods that another module calls through an interface.
var outside = []string{"Error", "Format", "String", "Unwrap"}

// unusedExports returns a line for each function, variable and method that an internal package
// exports and no other package names, and the number of those looked at. Names are
// compared as they are written: a method counts as used where any selector has its name.
// Types are not looked at: what a function returns may have one that nobody writes.
func unusedExports(tree fs.FS) (lines []string, exported int, err error) {
	type declared struct{ in, file, as string } // as a selector: "p.F", or ".M" for a method
	var all []declared
	users := make(map[string][]string)
	err = eachGoFile(tree, left, func(name string, text []byte) error {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		in := path.Dir(name) + " " + file.Name.Name
		for n := range ast.Preorder(file) {
			if s, ok := n.(*ast.SelectorExpr); ok {
				users["."+s.Sel.Name] = append(users["."+s.Sel.Name], in)
				if x, ok := s.X.(*ast.Ident); ok {
					users[x.Name+"."+s.Sel.Name] = append(users[x.Name+"."+s.Sel.Name], in)
				}
			}
		}
		if strings.Contains(name, "/internal/") && !strings.HasSuffix(name, "_test.go") {
			for _, as := range exports(file) {
				all = append(all, declared{in, name, as})
			}
		}
		return nil
	})
	for _, d := range all {
		if !slices.ContainsFunc(users[d.as], func(user string) bool { return user != d.in }) {
			lines = append(lines, d.file+": no other package uses "+d.as)
		}
	}
	return lines, len(all), err
}

// exports are the functions, variables and methods that a file declares for others, as
// selectors.
func exports(file *ast.File) (all []string) {
	add := func(of string, name *ast.Ident) {
		if name.IsExported() && !slices.Contains(outside, name.Name) {
			all = append(all, of+"."+name.Name)
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil {
				add("", d.Name)
			} else {
				add(file.Name.Name, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok && d.Tok == token.VAR {
					for _, name := range v.Names {
						add(file.Name.Name, name)
					}
				}
			}
		}
	}
	return all
}
