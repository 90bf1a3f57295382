// Package overlay makes the overlay that gives a test binary a runtime whose schedules can
// be controlled. It consists of copies of some files of a Go tree, edited at anchors that
// must each occur exactly once, and of added files. This package contains no Go source
// itself, so an overlay fits the tree from which it was made.
package overlay

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotOffered is wrapped where a Go tree cannot be given controlled schedules.
var ErrNotOffered = errors.New("controlled schedules are not offered")

//go:embed runtime/*.go.txt
var added embed.FS

// editedFiles returns the edited and added files for a tree, by their names below
// GOROOT/src. With race, they are for a binary built with -race, where
// sync/atomic's functions are the race detector's.
func editedFiles(tree fs.FS, race bool) (map[string]string, error) {
	files := make(map[string]string)
	for _, e := range edits() {
		if err := e.apply(tree, files); err != nil {
			return nil, err
		}
	}
	if err := atomics(tree, files, race); err != nil {
		return nil, err
	}
	names, err := fs.Glob(added, "runtime/*.go.txt")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := added.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[strings.TrimSuffix(name, ".txt")] = string(text)
	}
	return files, nil
}

// source returns a file as edited so far.
func source(tree fs.FS, files map[string]string, name string) (string, error) {
	if text, ok := files[name]; ok {
		return text, nil
	}
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotOffered, err)
	}
	return string(text), nil
}

func (e edit) apply(tree fs.FS, files map[string]string) error {
	text, err := source(tree, files, e.file)
	if err != nil {
		return err
	}
	if n := strings.Count(text, e.anchor); n != 1 {
		return fmt.Errorf("%w: %s: %q occurs %d times, must be once", ErrNotOffered, e.file, e.anchor, n)
	}
	replacement := e.text
	switch e.where {
	case after:
		replacement = e.anchor + e.text
	case before:
		replacement = e.text + e.anchor
	}
	files[e.file] = strings.Replace(text, e.anchor, replacement, 1)
	return nil
}

// fewestTyped and fewestFunctions are how many operations sync/atomic had in
// Go 1.25; a pattern that finds fewer does not fit.
const (
	fewestTyped     = 40
	fewestFunctions = 30
)

func atomics(tree fs.FS, files map[string]string, race bool) error {
	var found int
	for _, name := range []string{"sync/atomic/type.go", "sync/atomic/value.go"} {
		text, err := source(tree, files, name)
		if err != nil {
			return err
		}
		edited, n := typed(text)
		found += n
		files[name] = edited
	}
	files["sync/atomic/type.go"] += declaration
	if found < fewestTyped {
		return fmt.Errorf("%w: sync/atomic: %d operations of its types found, must be at least %d",
			ErrNotOffered, found, fewestTyped)
	}
	if race {
		return nil
	}
	var names []string
	for _, name := range []string{"sync/atomic/doc.go", "sync/atomic/doc_64.go"} {
		text, err := source(tree, files, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Go 1.25 has but one
		}
		if err != nil {
			return err
		}
		edited, some := functions(text)
		if !strings.Contains(edited, "\nimport ") {
			edited = strings.Replace(edited, "\npackage atomic\n", "\npackage atomic\n\nimport \"unsafe\"\n", 1)
		}
		names = append(names, some...)
		files[name] = edited
	}
	if len(names) < fewestFunctions {
		return fmt.Errorf("%w: sync/atomic: %d functions found, must be at least %d",
			ErrNotOffered, len(names), fewestFunctions)
	}
	const assembly = "sync/atomic/asm.s"
	text, err := source(tree, files, assembly)
	if err != nil {
		return err
	}
	files[assembly] = withoutBodies(text, names)
	return nil
}

// Write makes the overlay for the tree at goroot below folder, and returns the
// name of the file for the go command's -overlay. A folder of the same content is
// used again; the content is part of its name.
func Write(goroot, folder string, race bool) (name string, err error) {
	src := filepath.Join(goroot, "src")
	files, err := editedFiles(os.DirFS(src), race)
	if err != nil {
		return "", err
	}
	place := filepath.Join(folder, digest(goroot, files))
	name = filepath.Join(place, "overlay.json")
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(folder, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(made)
	replace := make(map[string]string)
	for file, text := range files {
		flat := strings.ReplaceAll(file, "/", "__")
		if err := os.WriteFile(filepath.Join(made, flat), []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(src, filepath.FromSlash(file))] = filepath.Join(place, flat)
	}
	index, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(made, "overlay.json"), index, 0o644); err != nil {
		return "", err
	}
	if err := os.Rename(made, place); err != nil {
		if _, other := os.Stat(name); other != nil { // nobody else has made it meanwhile
			return "", err
		}
	}
	return name, nil
}

// digest names what an overlay holds.
func digest(goroot string, files map[string]string) string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", goroot)
	for _, name := range names {
		fmt.Fprintf(h, "%q %q\n", name, files[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
