package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// kernelsTest is the test that measures the kernels, once they are written. It is
// of a module of its own, under the path of this one.
//
//go:embed testdata/kernels_test.go.txt
var kernelsTest string

// writeModule writes a module with the kernels of the Go tree into a folder.
func writeModule(place, root string) (skipped []string, err error) {
	goroot, err := output(root, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	write := func(file string, text []byte) error { return os.WriteFile(filepath.Join(place, file), text, 0o666) }
	kernels, skipped, err := readKernels(goroot, write)
	if err != nil {
		return nil, err
	}
	var list bytes.Buffer
	list.WriteString("package kernels\n\nconst yieldCount = 10\n\nvar kernels = []kernel{\n")
	for _, k := range kernels {
		fmt.Fprintf(&list, "\t{%q, %s, %#v},\n", k.name, k.entry, k.leaks)
	}
	list.WriteString("}\n\ntype kernel struct {\n\tname string\n\trun func()\n\tleaks []string\n}\n")
	return skipped, writeFiles(place, root, "kernels", map[string]string{
		"list.go": list.String(), "kernels_test.go": kernelsTest,
	})
}

// writeFiles makes a folder a module under the path of this one, with the files given.
func writeFiles(place, root, name string, files map[string]string) error {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(mod), "\n")
	files["go.mod"] = "module tensile/stress/explorebench/" + name + "\n" + rest +
		fmt.Sprintf("\nrequire tensile v0.0.0\n\nreplace tensile => %s\n", root)
	files["go.sum"] = string(sum)
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(place, file), []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}
