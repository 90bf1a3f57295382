package overlay

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goroot is the Go tree that runs this test.
func goroot(t *testing.T) string {
	text, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip(err)
	}
	return strings.TrimSpace(string(text))
}

func ownTree(t *testing.T) fs.FS { return os.DirFS(filepath.Join(goroot(t), "src")) }

func TestEditsFitThisTree(t *testing.T) {
	tree := ownTree(t)
	plain, err := editedFiles(tree, false)
	require.NoError(t, err)
	race, err := editedFiles(tree, true)
	require.NoError(t, err)
	assert.Contains(t, plain, "runtime/explore.go")
	assert.Contains(t, plain["sync/atomic/type.go"],
		"func (x *Int64) Load() int64 { runtime_explorePoint(15, uintptr(unsafe.Pointer(x)));")
	assert.Contains(t, plain["sync/atomic/doc.go"], "\truntime_explorePoint(16, uintptr(unsafe.Pointer(addr)))\n"+
		"\treturn AddInt32(addr, delta)\n}")
	assert.NotContains(t, plain["sync/atomic/asm.s"], "·AddInt32(SB),")
	assert.Contains(t, plain["sync/atomic/asm.s"], "·SwapUintptr(SB),", "which the runtime calls amid a write barrier")
	assert.NotContains(t, race, "sync/atomic/doc.go", "the race detector has these itself")
}

// The trees come from the module proxy, which may not be reached.
func TestEditsFitOtherVersions(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads Go trees")
	}
	for _, version := range []string{"go1.25.14", "go1.27.4"} {
		t.Run(version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "go", "env", "GOROOT")
			cmd.Dir = t.TempDir() // where no go.mod asks for another version
			cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+version, "GOFLAGS=")
			text, err := cmd.Output()
			if err != nil {
				t.Skipf("%s cannot be had: %v", version, err)
			}
			for _, race := range []bool{false, true} {
				_, err := editedFiles(os.DirFS(filepath.Join(strings.TrimSpace(string(text)), "src")), race)
				assert.NoError(t, err)
			}
		})
	}
}

func TestTheEditedTreeBuildsForARM64(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the standard library")
	}
	index, err := Write(goroot(t), t.TempDir(), false)
	require.NoError(t, err)
	cmd := exec.Command("go", "build", "-overlay", index, "sync", "time", "testing/synctest", "os/exec")
	cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0", "GOTOOLCHAIN=local")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// edited is a tree with one file changed.
type edited struct {
	fs.FS
	changed fstest.MapFS
}

func (e edited) Open(name string) (fs.File, error) {
	if _, ok := e.changed[name]; ok {
		return e.changed.Open(name)
	}
	return e.FS.Open(name)
}

func TestATreeThatDoesNotFitIsNotOffered(t *testing.T) {
	tree := ownTree(t)
	for _, c := range []struct{ file, old, new, says string }{
		{"sync/cond.go", "func (c *Cond) Signal()", "func (c *Cond) Wake()", "occurs 0 times, must be once"},
		{"runtime/chan.go", "func closechan(c *hchan) {\n",
			"func closechan(c *hchan) {\n}\nfunc closechan(c *hchan) {\n", "occurs 2 times"},
		{"sync/atomic/type.go", "func (x *", "func (atomic *", "operations of its types found"},
	} {
		text, err := fs.ReadFile(tree, c.file)
		require.NoError(t, err)
		changed := strings.ReplaceAll(string(text), c.old, c.new)
		require.NotEqual(t, string(text), changed)
		_, err = editedFiles(edited{tree, fstest.MapFS{c.file: {Data: []byte(changed)}}}, false)
		require.ErrorIs(t, err, ErrNotOffered)
		assert.ErrorContains(t, err, c.file[:strings.LastIndex(c.file, "/")])
		assert.ErrorContains(t, err, c.says)
	}
	_, err := editedFiles(fstest.MapFS{}, false)
	assert.ErrorIs(t, err, ErrNotOffered)
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAnOverlayIsWrittenOnce(t *testing.T) {
	root := goroot(t)
	folder := t.TempDir()
	name, err := Write(root, folder, false)
	require.NoError(t, err)
	before, err := os.Stat(name)
	require.NoError(t, err)
	again, err := Write(root, folder, false)
	require.NoError(t, err)
	assert.Equal(t, name, again)
	after, err := os.Stat(name)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing unfinished is left")
	other, err := Write(root, folder, true)
	require.NoError(t, err)
	assert.NotEqual(t, name, other)
}

func TestTheDigestIsOfTheContent(t *testing.T) {
	files := map[string]string{"a": "1", "b": "2"}
	changed := maps.Clone(files)
	changed["b"] = "3"
	assert.NotEqual(t, digest("/go", files), digest("/go", changed))
	assert.NotEqual(t, digest("/go", files), digest("/other", files))
	assert.Equal(t, digest("/go", files), digest("/go", maps.Clone(files)))
}
