package tensile

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentsNameWhatExists: links, paths and tests, in the pages and in the comments of
// Go files.
func TestDocumentsNameWhatExists(t *testing.T) {
	wrong, named, err := dangling(os.DirFS("."))
	require.NoError(t, err)
	assert.Empty(t, wrong)
	assert.Greater(t, named, 300, "names looked at")
}

func TestNamesThatDangleAreSeen(t *testing.T) {
	for text, says := range map[string]string{
		"[a](docs/b.md)":              "a.md: docs/b.md does not exist",
		"[a](#nowhere)":               "a.md: a.md has no heading #nowhere",
		"[a](c.md#other)":             "a.md: c.md has no heading #other",
		"see `pool/none.go`":          "a.md: pool/none.go does not exist",
		"see `pool/none`":             "a.md: pool/none does not exist",
		"go test -run '^TestNone$' .": "a.md: TestNone does not exist",
		"see `none.go`":               "a.md: none.go does not exist",
		"a `PoolConfig.None`":         "a.md: PoolConfig does not exist",
		"a `pool.None`":               "a.md: pool.None does not exist",
		"a `pool.None(x)`":            "a.md: pool.None does not exist",
		"STRESS_NONE=1 go test":       "a.md: STRESS_NONE does not exist",
	} {
		wrong, _, err := dangling(fstest.MapFS{
			"a.md":           {Data: []byte(text)},
			"c.md":           {Data: []byte("# A heading, twice\n# A heading, twice\n")},
			"pool/pool.go":   {Data: []byte("package pool\n")},
			"pool/a_test.go": {Data: []byte("package pool\nfunc TestSome(t *testing.T) {}\n")},
		})
		require.NoError(t, err)
		assert.Equal(t, []string{says}, wrong)
	}
	wrong, named, err := dangling(fstest.MapFS{
		"a.md": {Data: []byte("[a](c.md) [a](c.md#a-heading-twice-1) `pool/pool.go` -run '^TestSome$' " +
			"`pool` `pool/...` [a](https://go.dev/none) `elsewhere/none.go` `pool.New` `pool.go` STRESS_SOME `other.None` " +
			"`out/report.html`")},
		"out/run.log":    {Data: []byte("a run has just begun\n")},
		"c.md":           {Data: []byte("# A heading, twice\n# A heading, twice\n")},
		"pool/pool.go":   {Data: []byte("package pool\nfunc New() { os.Getenv(\"STRESS_SOME\") }\n")},
		"pool/a_test.go": {Data: []byte("package pool\nfunc TestSome(t *testing.T) {}\n")},
	})
	require.NoError(t, err)
	assert.Empty(t, wrong)
	assert.Equal(t, 8, named)
}

// TestLinesAreShort: those of Go files, a tab being one character.
func TestLinesAreShort(t *testing.T) {
	const widest = 120
	var long []string
	err := eachGoFile(os.DirFS("."), left, func(name string, text []byte) error {
		for i, line := range strings.Split(string(text), "\n") {
			if utf8.RuneCountInString(line) > widest {
				long = append(long, fmt.Sprintf("%s:%d", name, i+1))
			}
		}
		return nil
	})
	require.NoError(t, err)
	assert.Empty(t, long)
}

// eachGoFile calls do for the Go files of a tree, but for those in folders that are to be skipped.
func eachGoFile(tree fs.FS, skip func(folder string) bool, do func(name string, text []byte) error) error {
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && skip(name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return do(name, text)
	})
}

// left tells whether a folder is what runs leave, or hidden: nobody has written what is there.
func left(folder string) bool { return path.Base(folder) == output || path.Base(folder)[0] == '.' }

var (
	links     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	paths     = regexp.MustCompile("`(?:\\./)?([\\w.-]+(?:/[\\w-][\\w.-]*)+)/?(?:/\\.\\.\\.)?`")
	runs      = regexp.MustCompile(`-run '\^(Test\w+)\$`)
	variables = regexp.MustCompile(`\bSTRESS_[A-Z_]*[A-Z]\b`)
	headings  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	pages     = regexp.MustCompile(`\bdocs/[\w/-]+\.md\b`)
	files     = regexp.MustCompile("`(\\w+\\.go)`")
	qualified = regexp.MustCompile("`(\\w+)\\.([A-Z]\\w*)[^`]*`")
	types     = regexp.MustCompile("`([A-Z][a-z]+[A-Z]\\w*)[^`]*`")
	words     = regexp.MustCompile(`\w+`)
	marks     = regexp.MustCompile(`[^\w\- ]`)
)

// output is the folder of what runs leave, which may hold anything at any time.
const output = "out"

// dangling returns a line for each name in the documents of a tree that stands for
// nothing, and how many names there are.
func dangling(tree fs.FS) (wrong []string, named int, err error) {
	texts := make(map[string]string)
	err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (entry.Name() == "testdata" || left(name)):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		switch path.Ext(name) {
		case ".md", ".go":
			text, err := fs.ReadFile(tree, name)
			texts[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	d := documents{tree: tree, texts: texts, words: make(map[string]bool)}
	for name, text := range texts {
		if path.Ext(name) == ".go" && name != "docs_test.go" {
			for _, word := range words.FindAllString(text, -1) {
				d.words[word] = true
			}
		}
	}
	for name, text := range texts {
		switch path.Ext(name) {
		case ".md":
			d.page(name, text)
		case ".go":
			if name == "docs_test.go" {
				continue // it has names that must not exist
			}
			for _, page := range pages.FindAllString(text, -1) {
				d.exists(name, page, page)
			}
		}
	}
	return d.wrong, d.named, nil
}

// documents are the files of a tree, and what was found in them.
type documents struct {
	tree  fs.FS
	texts map[string]string
	words map[string]bool // of the Go files
	named int
	wrong []string
}

func (d *documents) page(name, text string) {
	for _, m := range links.FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		target, anchor, _ := strings.Cut(m[1], "#")
		at := name
		if target != "" {
			at = path.Join(path.Dir(name), target)
			if readme := at + "/README.md"; d.there(readme) {
				at = readme
			}
		}
		if d.exists(name, at, target) && anchor != "" {
			d.must(anchors(d.texts[at])[anchor], name, at+" has no heading #"+anchor)
		}
	}
	for _, m := range paths.FindAllStringSubmatch(text, -1) {
		if first, _, _ := strings.Cut(m[1], "/"); first != output && d.there(first) {
			d.exists(name, m[1], m[1])
		}
	}
	for _, m := range runs.FindAllStringSubmatch(text, -1) {
		is := strings.Contains(text, "func "+m[1]+"(") // the page shows it
		d.must(is || d.within("", "func "+m[1]+"("), name, m[1]+" does not exist")
	}
	for _, m := range qualified.FindAllStringSubmatch(text, -1) {
		if d.within("/"+m[1]+"/", "package "+m[1]) {
			d.must(d.within("/"+m[1]+"/", m[2]), name, m[1]+"."+m[2]+" does not exist")
		}
	}
	for _, variable := range variables.FindAllString(text, -1) {
		d.must(d.within("", `"`+variable+`"`), name, variable+" does not exist")
	}
	if name == "docs/found.md" { // it names files and types of other modules
		return
	}
	for _, m := range files.FindAllStringSubmatch(text, -1) {
		d.must(d.called(m[1]), name, m[1]+" does not exist")
	}
	for _, m := range types.FindAllStringSubmatch(text, -1) {
		d.must(d.words[m[1]], name, m[1]+" does not exist")
	}
}

// exists checks that a file is there, as it is called on a page.
func (d *documents) exists(page, name, called string) bool {
	is := d.there(name)
	d.must(is, page, called+" does not exist")
	return is
}

func (d *documents) there(name string) bool {
	_, err := fs.Stat(d.tree, name)
	return err == nil
}

// within tells whether a Go file below a folder, which may be anywhere, has a text.
func (d *documents) within(folder, text string) bool {
	for file, content := range d.texts {
		if path.Ext(file) == ".go" && file != "docs_test.go" && strings.Contains("/"+file, folder) &&
			strings.Contains(content, text) {
			return true
		}
	}
	return false
}

// called tells whether some file has the name.
func (d *documents) called(name string) bool {
	for file := range d.texts {
		if path.Base(file) == name {
			return true
		}
	}
	return false
}

func (d *documents) must(ok bool, page, says string) {
	d.named++
	if !ok {
		d.wrong = append(d.wrong, page+": "+says)
	}
}

// anchors are those of the headings of a page.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range headings.FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(marks.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		for n, one := 1, name; ; n++ {
			if !all[one] {
				all[one] = true
				break
			}
			one = name + "-" + string(rune('0'+n))
		}
	}
	return all
}
