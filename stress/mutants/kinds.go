package main

import (
	"go/ast"
	"go/token"
	"slices"
)

// edit replaces the source from one position to another.
type edit struct {
	from, to token.Pos
	text     string
}

// kinds are the faults that are made, with what each does.
var kinds = []struct{ name, does string }{
	{"unlock", "drops an Unlock"},
	{"section", "drops a Lock with its Unlock"},
	{"order", "swaps a Lock or Unlock with the statement that it guards"},
	{"signal", "drops a Signal or Broadcast, or wakes one where all were"},
	{"wait", "waits once, and does not ask again after it"},
	{"done", "drops the case in which a context or the like is done"},
	{"close", "drops the close of a channel"},
	{"send", "drops a send"},
	{"buffer", "makes a channel's buffer one larger or smaller"},
	{"count", "drops an Add or a Done"},
	{"store", "drops an atomic Store"},
	{"cas", "stores where CompareAndSwap asked first"},
	{"stop", "drops a Stop, a Reset, or the cancel of a context"},
	{"bound", "makes < of <=, > of >=, and the other way round"},
	{"index", "takes the element beside"},
	{"delete", "drops a delete or clear"},
	{"error", "ignores an error"},
	{"sync", "drops a Sync"},
}

// dropped are methods whose call is left out where it is a statement, by the kind.
var dropped = map[string]string{
	"Unlock": "unlock", "RUnlock": "unlock", "Signal": "signal", "Broadcast": "signal", "Add": "count", "Done": "count",
	"Store": "store", "Stop": "stop", "Reset": "stop", "Sync": "sync",
}

// droppedFunctions are the same of functions.
var droppedFunctions = map[string]string{"close": "close", "delete": "delete", "clear": "delete", "cancel": "stop"}

// maker gathers what can be made of a file.
type maker struct {
	source func(ast.Node) string
	add    func(kind string, at ast.Node, edits ...edit)
}

// visit makes what a node allows.
func (m maker) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.BlockStmt:
		m.list(n.List)
	case *ast.CaseClause:
		m.list(n.Body)
	case *ast.CommClause:
		m.list(n.Body)
		if done(n.Comm) {
			m.add("done", n, edit{n.Pos(), n.End(), ""})
		}
	case *ast.ForStmt:
		if n.Init == nil && n.Post == nil && n.Cond != nil && slices.ContainsFunc(n.Body.List, waits) {
			m.add("wait", n, edit{n.For, n.For + token.Pos(len("for")), "if"})
		}
	case *ast.IfStmt:
		if c, ok := n.Cond.(*ast.BinaryExpr); ok && c.Op == token.NEQ && isName(c.Y, "nil") && isName(c.X, "err") {
			m.add("error", n.Cond, edit{n.Cond.End(), n.Cond.End(), " && false"})
		}
	case *ast.AssignStmt:
		m.syncs(n.Rhs)
	case *ast.ReturnStmt:
		m.syncs(n.Results)
	case *ast.CallExpr:
		m.call(n)
	case *ast.BinaryExpr:
		if other, ok := boundaries[n.Op]; ok {
			m.add("bound", n, edit{n.OpPos, n.OpPos + token.Pos(len(n.Op.String())), other})
		}
	case *ast.IndexExpr:
		m.index(n)
	}
}

var boundaries = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}

// list makes what can be made of statements that follow each other.
func (m maker) list(list []ast.Stmt) {
	for i, s := range list {
		if _, ok := s.(*ast.SendStmt); ok {
			m.drop("send", s)
		}
		method, function, on := called(s)
		if kind, ok := dropped[method]; ok {
			m.drop(kind, s)
		}
		if kind, ok := droppedFunctions[function]; ok {
			m.drop(kind, s)
		}
		switch method {
		case "Broadcast":
			m.add("signal", s, edit{s.Pos(), s.End(), m.source(on) + ".Signal()"})
		case "Lock", "RLock":
			m.section(list[i:], method, on)
			if i+1 < len(list) {
				m.swap(s, list[i+1], s)
			}
		case "Unlock", "RUnlock":
			if _, deferred := s.(*ast.DeferStmt); i > 0 && !deferred {
				m.swap(list[i-1], s, s)
			}
		}
	}
}

func (m maker) drop(kind string, s ast.Stmt) { m.add(kind, s, edit{s.Pos(), s.End(), ""}) }

// swap has two statements change places. at is the one of which it is said.
func (m maker) swap(a, b, at ast.Stmt) {
	if slices.ContainsFunc([]ast.Stmt{a, b}, leaves) {
		return // it would do the same, or not reach what follows
	}
	m.add("order", at, edit{a.Pos(), a.End(), m.source(b)}, edit{b.Pos(), b.End(), m.source(a)})
}

// section drops the Lock with which the statements begin, and the Unlock that follows it.
func (m maker) section(list []ast.Stmt, lock string, on ast.Expr) {
	unlock := lock[:len(lock)-len("Lock")] + "Unlock"
	for _, s := range list[1:] {
		if method, _, other := called(s); method == unlock && m.source(other) == m.source(on) {
			m.add("section", list[0], edit{list[0].Pos(), list[0].End(), ""}, edit{s.Pos(), s.End(), ""})
			return
		}
	}
}

// call makes what can be made of a call, whatever its result is used for.
func (m maker) call(c *ast.CallExpr) {
	if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "CompareAndSwap" && len(c.Args) == 2 {
		text := "func() bool { " + m.source(s.X) + ".Store(" + m.source(c.Args[1]) + "); return true }()"
		m.add("cas", c, edit{c.Pos(), c.End(), text})
	}
	if !isName(c.Fun, "make") || len(c.Args) == 0 {
		return
	}
	if _, ok := c.Args[0].(*ast.ChanType); !ok {
		return
	}
	if len(c.Args) == 1 {
		m.add("buffer", c, edit{c.Rparen, c.Rparen, ", 1"})
		return
	}
	size := c.Args[1]
	m.add("buffer", c, edit{size.Pos(), size.End(), "(" + m.source(size) + ")+1"})
	m.add("buffer", c, edit{size.Pos(), size.End(), "max((" + m.source(size) + ")-1, 0)"})
}

// syncs has calls of Sync succeed without doing anything.
func (m maker) syncs(values []ast.Expr) {
	for _, v := range values {
		if c, ok := v.(*ast.CallExpr); ok && len(c.Args) == 0 {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Sync" {
				m.add("sync", c, edit{c.Pos(), c.End(), "error(nil)"})
			}
		}
	}
}

// index takes the element beside.
func (m maker) index(n *ast.IndexExpr) {
	switch at := n.Index.(type) {
	case *ast.BasicLit:
		if at.Value == "0" {
			m.add("index", n, edit{at.Pos(), at.End(), "len(" + m.source(n.X) + ")-1"})
		}
	case *ast.BinaryExpr:
		switch at.Op {
		case token.ADD, token.SUB: // not of a constant alone
			m.add("index", n, edit{at.X.End(), at.End(), ""})
		case token.REM:
			m.add("index", n, edit{at.Pos(), at.X.End(), "(" + m.source(at.X) + "+1)"})
		}
	}
}

// called is what a statement calls, if a call is all that it is: a method without its
// receiver on, or a function.
func called(s ast.Stmt) (method, function string, on ast.Expr) {
	var c *ast.CallExpr
	switch s := s.(type) {
	case *ast.ExprStmt:
		c, _ = s.X.(*ast.CallExpr)
	case *ast.DeferStmt:
		c = s.Call
	}
	if c == nil {
		return "", "", nil
	}
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name, "", f.X
	case *ast.Ident:
		return "", f.Name, nil
	}
	return "", "", nil
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// waits tells whether a statement waits at a condition.
func waits(s ast.Stmt) bool {
	method, _, _ := called(s)
	return method == "Wait"
}

// leaves tells whether a statement goes elsewhere, now or when the function returns.
func leaves(s ast.Stmt) bool {
	switch s.(type) {
	case *ast.ReturnStmt, *ast.BranchStmt, *ast.DeferStmt:
		return true
	}
	return false
}

// done tells whether a case receives from what a method Done returned.
func done(comm ast.Stmt) bool {
	var from ast.Expr
	switch s := comm.(type) {
	case *ast.ExprStmt:
		from = s.X
	case *ast.AssignStmt:
		from = s.Rhs[0]
	}
	receive, ok := from.(*ast.UnaryExpr)
	if !ok || receive.Op != token.ARROW {
		return false
	}
	call, ok := receive.X.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Done"
}
