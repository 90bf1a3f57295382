package overlay

import (
	"fmt"
	"regexp"
	"strings"
)

// method is the first line of an operation of one of sync/atomic's types, up to
// its brace.
var method = regexp.MustCompile(
	`(?m)^func \((\w) \*(\w+)(?:\[T\])?\) (Load|Store|Swap|CompareAndSwap|Add|And|Or)\(.*?\{`)

// typed puts a point at the beginning of each operation of sync/atomic's types.
func typed(source string) (edited string, operations int) {
	edited = method.ReplaceAllStringFunc(source, func(line string) string {
		operations++
		m := method.FindStringSubmatch(line)
		return line + " " + point(kindOf(m[3]), m[1]) + ";"
	})
	return edited, operations
}

// bare is an operation of sync/atomic that is a function, which has no body.
var bare = regexp.MustCompile(
	`(?m)^(?://go:noescape\n)?func (Swap|CompareAndSwap|Add|And|Or|Load|Store)` +
		`(Int32|Int64|Uint32|Uint64|Uintptr|Pointer)\((.*?)\)(.*)$`)

// functions gives sync/atomic's functions a body: a point, then the operation by
// the same name, in place of which the compiler puts its instruction. A package
// compiled with race instrumentation calls them. The names are returned: their
// bodies in assembly must go.
func functions(source string) (edited string, names []string) {
	edited = bare.ReplaceAllStringFunc(source, func(text string) string {
		m := bare.FindStringSubmatch(text)
		operation, of, parameters, result := m[1], m[2], m[3], m[4]
		if writes := operation == "Store" || operation == "Swap" || operation == "CompareAndSwap"; writes &&
			(of == "Pointer" || of == "Uintptr") {
			return text // the runtime has these, or calls them amid a write barrier
		}
		name := operation + of
		names = append(names, name)
		var arguments []string
		for parameter := range strings.SplitSeq(parameters, ", ") {
			argument, _, _ := strings.Cut(parameter, " ")
			arguments = append(arguments, argument)
		}
		call := fmt.Sprintf("%s(%s)", name, strings.Join(arguments, ", "))
		if operation != "Store" {
			call = "return " + call
		}
		return fmt.Sprintf("func %s(%s)%s {\n\t%s\n\t%s\n}", name, parameters, result,
			point(kindOf(operation), arguments[0]), call)
	})
	return edited, names
}

// inAssembly is a function of sync/atomic's assembly: a jump.
var inAssembly = regexp.MustCompile(`(?m)^TEXT ·(\w+)\(SB\).*\n\tJMP.*\n`)

// withoutBodies takes functions out of sync/atomic's assembly.
func withoutBodies(source string, names []string) string {
	gone := make(map[string]bool)
	for _, name := range names {
		gone[name] = true
	}
	return inAssembly.ReplaceAllStringFunc(source, func(text string) string {
		if gone[inAssembly.FindStringSubmatch(text)[1]] {
			return ""
		}
		return text
	})
}

func kindOf(operation string) int {
	if operation == "Load" {
		return kindLoad
	}
	return kindStore
}
