package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
)

// kernel is a program with a known bug that leaves goroutines behind.
type kernel struct {
	name  string
	entry string   // the function that runs it
	leaks []string // regular expressions: functions that are left, with what they wait for
}

const (
	kernelFolder = "src/runtime/testdata/testgoroutineleakprofile/goker"
	leakTest     = "src/runtime/goroutineleakprofile_test.go"
)

// unlisted are the leaks of a kernel that the Go tree runs without saying which.
var unlisted = map[string][]string{
	"Kubernetes1321": {`kubernetes1321.* \[chan send\]`, `kubernetes1321.* \[sync\.Mutex\.Lock\]`},
}

// never are kernels whose bug cannot show.
var never = map[string]string{
	"Moby27782": "its lock is held all the time that another might come in",
}

// readKernels reads those of a Go tree, and has write take the source of each.
func readKernels(
	goroot string, write func(file string, source []byte) error,
) (kernels []kernel, skipped []string, err error) {
	leaks, err := readLeaks(filepath.Join(goroot, leakTest))
	if err != nil {
		return nil, nil, err
	}
	files, err := filepath.Glob(filepath.Join(goroot, kernelFolder, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		k, source, err := readKernel(file)
		if err != nil {
			return nil, nil, err
		}
		if k.leaks = leaks[k.name]; k.leaks == nil {
			k.leaks = unlisted[k.name]
		}
		switch {
		case k.name == "": // none of them
			continue
		case never[k.name] != "":
			skipped = append(skipped, k.name+": "+never[k.name])
			continue
		case k.leaks == nil:
			skipped = append(skipped, k.name+": the Go tree does not say what it leaves behind")
			continue
		}
		kernels = append(kernels, k)
		if err := write(filepath.Base(file), source); err != nil {
			return nil, nil, err
		}
	}
	if len(kernels) == 0 {
		return nil, nil, fmt.Errorf("%s has no kernels: must be a Go tree with sources, from 1.26", goroot)
	}
	return kernels, skipped, nil
}

// readLeaks reads which leaks the Go tree expects of each kernel: the arguments of
// makeTest and makeFlakyTest, of which the first is the name.
func readLeaks(file string) (map[string][]string, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return nil, err
	}
	leaks := map[string][]string{}
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "makeTest" && f.Name != "makeFlakyTest" {
			return true
		}
		var texts []string
		for _, arg := range call.Args {
			if l, ok := arg.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, err := strconv.Unquote(l.Value)
				if err == nil {
					texts = append(texts, text)
				}
			}
		}
		if len(texts) > 1 {
			leaks[texts[0]] = texts[1:]
		}
		return true
	})
	return leaks, nil
}

var registration = regexp.MustCompile(`register\("(\w+)", (\w+)\)`)

// readKernel returns a kernel, and its source so that one call of the entry runs it
// once: without what prints a profile, without what registers it, without calls
// that help the bug, and without repetition.
func readKernel(file string) (k kernel, source []byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return k, nil, err
	}
	m := registration.FindSubmatch(text)
	if m == nil {
		return k, nil, nil
	}
	k.name, k.entry = string(m[1]), string(m[2])
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, text, 0)
	if err != nil {
		return k, nil, err
	}
	tree.Name.Name = "kernels"
	var declared []ast.Decl
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		switch {
		case ok && f.Recv == nil && f.Name.Name == "init":
			continue
		case ok && f.Recv == nil && f.Name.Name == k.entry:
			if err := once(f.Body); err != nil {
				return k, nil, fmt.Errorf("%s: %w", file, err)
			}
		}
		ast.Inspect(d, shorten)
		declared = append(declared, d)
	}
	tree.Decls = declared
	blankUnused(tree)
	var b bytes.Buffer
	err = format.Node(&b, files, tree)
	return k, b.Bytes(), err
}

// once has the body of an entry print no profile, and run one of its instances:
// one from the middle. The deferred function stays, empty, since functions are
// numbered and leaks are named by number.
func once(body *ast.BlockStmt) error {
	if len(body.List) < 3 {
		return errors.New("the entry of a kernel has no profile, printer and body")
	}
	profile, ok1 := body.List[0].(*ast.AssignStmt)
	printer, ok2 := body.List[1].(*ast.DeferStmt)
	if !ok1 || !ok2 {
		return errors.New("the entry of a kernel does not begin with its profile")
	}
	profile.Lhs[0], profile.Tok = ast.NewIdent("_"), token.ASSIGN
	if f, ok := printer.Call.Fun.(*ast.FuncLit); ok {
		f.Body.List = nil
	}
	for _, s := range body.List {
		if loop, limit, n := counted(s); loop != nil && n >= 11 {
			loop.Init.(*ast.AssignStmt).Rhs[0] = number(n / 2)
			loop.Cond.(*ast.BinaryExpr).Op = token.LSS
			limit.Value = strconv.Itoa(n/2 + 1)
		}
	}
	return nil
}

// shorten takes away calls of runtime.Gosched and makes long loops short.
func shorten(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BlockStmt:
		n.List = withoutGosched(n.List)
	case *ast.CommClause:
		n.Body = withoutGosched(n.Body)
	case *ast.CaseClause:
		n.Body = withoutGosched(n.Body)
	case *ast.ForStmt:
		if _, limit, times := counted(n); times >= 100 {
			limit.Value = "10"
		}
	}
	return true
}

func withoutGosched(list []ast.Stmt) (rest []ast.Stmt) {
	for _, s := range list {
		if e, ok := s.(*ast.ExprStmt); ok && selected(e.X) == "Gosched" {
			continue
		}
		rest = append(rest, s)
	}
	return rest
}

// selected is the name of the method or function that a call calls.
func selected(e ast.Expr) string {
	if call, ok := e.(*ast.CallExpr); ok {
		if s, ok := call.Fun.(*ast.SelectorExpr); ok {
			return s.Sel.Name
		}
	}
	return ""
}

// counted tells of a loop from 0 to a literal limit how often it runs.
func counted(s ast.Stmt) (loop *ast.ForStmt, limit *ast.BasicLit, times int) {
	loop, ok := s.(*ast.ForStmt)
	if !ok {
		return nil, nil, 0
	}
	init, ok := loop.Init.(*ast.AssignStmt)
	if !ok || len(init.Rhs) != 1 {
		return nil, nil, 0
	}
	from, ok := init.Rhs[0].(*ast.BasicLit)
	if !ok || from.Value != "0" {
		return nil, nil, 0
	}
	cond, ok := loop.Cond.(*ast.BinaryExpr)
	if !ok {
		return nil, nil, 0
	}
	if limit, ok = cond.Y.(*ast.BasicLit); !ok || limit.Kind != token.INT {
		return nil, nil, 0
	}
	times, err := strconv.Atoi(limit.Value)
	if err != nil {
		return nil, nil, 0
	}
	return loop, limit, times
}

func number(n int) *ast.BasicLit { return &ast.BasicLit{Kind: token.INT, Value: strconv.Itoa(n)} }

// blankUnused keeps imports that have lost their use.
func blankUnused(tree *ast.File) {
	used := map[string]bool{}
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	for _, i := range tree.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err == nil && i.Name == nil && !used[path.Base(name)] {
			i.Name = ast.NewIdent("_")
		}
	}
}
