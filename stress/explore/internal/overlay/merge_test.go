package overlay

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOfFlags(t *testing.T) {
	for goflags, want := range map[string]string{
		"":                                  "",
		"-mod=mod -tags=overlay=1":          "",
		"-overlay=/a.json":                  "/a.json",
		"-mod=mod --overlay=/a.json":        "/a.json",
		"'-overlay=/a.json' -trimpath":      "/a.json",
		"-overlay=/a.json -overlay=/b.json": "/b.json",
	} {
		assert.Equal(t, want, OfFlags(goflags), goflags)
	}
}

func TestMerge(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
		return path
	}
	ours := file("ours", `{"Replace": {"/go/a.go": "/made/a.go"}}`)
	merged := filepath.Join(folder, "merged")

	require.NoError(t, Merge(merged, ours, file("theirs", `{"Replace": {"/m/b.go": "/tmp/b.go", "/m/c.go": ""}}`)))
	text, err := os.ReadFile(merged)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Replace": {"/go/a.go": "/made/a.go", "/m/b.go": "/tmp/b.go", "/m/c.go": ""}}`, string(text))

	for text, says := range map[string]string{
		`{"Replace": {"b.go": "/tmp/b.go"}}`:         "names must be absolute",
		`{"Replace": {"/m/b.go": "b.go"}}`:           "names must be absolute",
		`{"Replace": {"/go/a.go": "/tmp/other.go"}}`: "replaces /go/a.go",
		`{`: "unexpected end of JSON input",
	} {
		err := Merge(merged, ours, file("theirs", text))
		require.ErrorIs(t, err, ErrNotOffered, text)
		assert.ErrorContains(t, err, says)
	}
	assert.ErrorIs(t, Merge(merged, ours, filepath.Join(folder, "none")), ErrNotOffered)
}
