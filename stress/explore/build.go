package explore

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"tensile/stress/explore/internal/overlay"
	"tensile/stress/internal/proc"
)

// tree is the Go tree that this binary was built by.
type tree struct {
	root  string // as an overlay may name it
	cache string // folder for what is made
	users string // the overlay that GOFLAGS names, "" for none
}

// built has the binaries of this process, by what was asked for.
var built = struct {
	mu       sync.Mutex
	binaries map[string]binary
}{binaries: make(map[string]binary)}

type binary struct {
	name string
	err  error
}

// controlled returns the test binary of this package with the controlled runtime.
// The go command decides what has to be compiled again, once in each process.
func controlled(o options) (name string, err error) {
	key := fmt.Sprint(o.Race, o.Memory)
	built.mu.Lock()
	defer built.mu.Unlock()
	b, ok := built.binaries[key]
	if !ok {
		b.name, b.err = build(o)
		built.binaries[key] = b
	}
	return b.name, b.err
}

func build(o options) (name string, err error) {
	tree, err := ownTree()
	if err != nil {
		return "", err
	}
	index, err := overlay.Write(tree.root, filepath.Join(tree.cache, "overlays"), o.Race)
	if err != nil {
		return "", err
	}
	flags := append([]string{"test", "-c"}, buildFlags(o)...)
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", folder, ownPackage(), index, flags))
	place := filepath.Join(tree.cache, "binaries", hex.EncodeToString(key[:12]))
	if err := os.MkdirAll(place, 0o755); err != nil {
		return "", err
	}
	own, err := ownSum()
	if err != nil {
		return "", err
	}
	name = filepath.Join(place, own+".test")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if _, err := os.Stat(name); err == nil {
		return name, nil // it was built from the same sources as this process
	}
	compiled := filepath.Join(filepath.Dir(index), "compiled") // once there, the go command has most in its cache
	if _, err := os.Stat(compiled); err != nil {
		unlock, err := lockFile(filepath.Join(filepath.Dir(index), "lock"))
		if err != nil {
			return "", err
		}
		defer unlock()
	}
	if tree.users != "" {
		merged := filepath.Join(place, fmt.Sprintf("%d.json", os.Getpid()))
		if err := overlay.Merge(merged, index, tree.users); err != nil {
			return "", err
		}
		defer os.Remove(merged)
		index = merged
	}
	made := filepath.Join(place, fmt.Sprintf("%d.test", os.Getpid()))
	flags = append(flags, "-overlay", index, "-o", made, ".")
	fmt.Fprintf(os.Stderr, "explore: building %s with a controlled runtime; the first time takes about a minute\n",
		ownPackage())
	text, err := tree.run(flags...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: go test: %w: %s: go %s", overlay.ErrNotOffered, err, bytes.TrimSpace(text),
			strings.Join(flags, " ")) // what is cut off is the command
	}
	if err := os.WriteFile(compiled, nil, 0o644); err != nil {
		return "", err
	}
	prune(place)
	return name, os.Rename(made, name)
}

// ownSum names the contents of this process's binary.
func ownSum() (string, error) {
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)[:12]), nil
}

// mostBinaries is how many binaries of a package are kept: of earlier sources, and
// of processes that have not begun yet.
const mostBinaries = 8

// prune removes the oldest binaries of a package.
func prune(place string) {
	entries, _ := os.ReadDir(place)
	age := func(e os.DirEntry) time.Duration {
		info, err := e.Info()
		if err != nil {
			return 0 // somebody else has removed it
		}
		return time.Since(info.ModTime())
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(age(a), age(b)) })
	for _, e := range entries[min(mostBinaries, len(entries)):] {
		_ = os.Remove(filepath.Join(place, e.Name()))
	}
}

// buildFlags are those that this binary was built with, and those asked for.
func buildFlags(o options) []string {
	var flags []string
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		switch s.Key {
		case "-tags", "-gcflags", "-ldflags", "-asmflags":
			flags = append(flags, s.Key+"="+s.Value)
		case "-trimpath":
			flags = append(flags, "-trimpath")
		}
	}
	if o.Race {
		return append(flags, "-race")
	}
	for _, p := range instrumented(o.Memory) {
		flags = append(flags, "-gcflags="+p+"=-race", "-gcflags="+p+"_test=-race")
	}
	return flags
}

// ownTree finds the Go tree that this binary was built by, and whether it is one
// whose files an overlay may replace.
func ownTree() (tree, error) {
	no := func(format string, args ...any) (tree, error) {
		return tree{}, fmt.Errorf("%w: %w", overlay.ErrNotOffered, fmt.Errorf(format, args...))
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return no("on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	command, err := exec.LookPath("go")
	if err != nil {
		return no("%w", err)
	}
	cmd := exec.Command(command, "env", "-json", "GOROOT", "GOVERSION", "GOMODCACHE", "GOFLAGS")
	cmd.Dir = folder
	text, err := cmd.Output()
	if err != nil {
		return no("go env: %w", err)
	}
	var env struct{ GOROOT, GOVERSION, GOMODCACHE, GOFLAGS string }
	if err := json.Unmarshal(text, &env); err != nil {
		return no("go env: %w", err)
	}
	if version, _, _ := strings.Cut(runtime.Version(), " "); env.GOVERSION != version {
		return no("the go command is %s, this test was built by %s", env.GOVERSION, version)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return no("%w", err)
	}
	t := tree{
		root: env.GOROOT, cache: filepath.Join(cache, "tensile", "explore"), users: overlay.OfFlags(env.GOFLAGS),
	}
	if inside, err := filepath.Rel(env.GOMODCACHE, env.GOROOT); err == nil && filepath.IsLocal(inside) {
		if t.root, err = linked(env.GOROOT, filepath.Join(t.cache, "trees")); err != nil {
			return no("%w", err)
		}
	}
	return t, nil
}

// linked gives a tree in the module cache, whose files an overlay may not replace,
// a name outside of it.
func linked(root, folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(folder, filepath.Base(root))
	if to, err := os.Readlink(name); err == nil && to == root {
		return name, nil
	}
	os.Remove(name)
	if err := os.Symlink(root, name); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return name, nil
}

// run is the go command of the tree, in the folder of the package.
func (t tree) run(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(t.root, "bin", "go"), args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOROOT="+t.root, "GOTOOLCHAIN=local", "PWD="+folder)
	cmd.SysProcAttr = proc.DieWithParent() // or a build would go on alone
	return cmd
}
