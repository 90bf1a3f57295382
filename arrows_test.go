package tensile

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "tensile"

// implementations could each be lifted out: none knows of the suite, nor of
// another.
var implementations = []string{"pool", "registry", "queue", "cluster", "chaos"}

// kits are the packages that take a subject through a scenario. None knows of
// another, so that a user of one reads and compiles that one alone.
var kits = []string{
	"stress/pooltest", "stress/routertest", "stress/queuetest", "stress/conntest", "stress/balancertest",
	"stress/sessiontest", "stress/clustertest", "stress/transporttest", "stress/chaostest",
}

// mayImport lists the packages of this module that each part of the suite may
// know. A kit may know those of kitMayImport and what is internal. Parts that are
// not listed may know any other part of the suite.
var mayImport = map[string][]string{
	"stress":                  {"stress/internal/run"},
	"stress/load":             {},
	"stress/measure":          {},
	"stress/node":             {},
	"stress/report/chart":     {},
	"stress/validate":         {"stress/measure"},
	"stress/report":           {"stress/measure", "stress/validate", "stress/report/chart"},
	"stress/internal/wait":    {},
	"stress/internal/payload": {},
	"stress/internal/proc":    {},
	"stress/internal/pipe":    {},
	"stress/internal/plain":   {},
	"stress/internal/rpc":     {},
	"stress/internal/links":   {},
	"stress/internal/disk":    {"stress/internal/seccomp", "stress/internal/proc"}, // proc: in its tests
	"stress/internal/settings": {
		"stress/load", "stress/validate", "stress/internal/schedule",
	},
	"stress/internal/run": {
		"stress/measure", "stress/validate", "stress/report", "stress/internal/settings", "stress/internal/proc",
	},
	"stress/internal/scenario": {
		"stress/load", "stress/measure", "stress/validate", "stress/report",
		"stress/internal/settings", "stress/internal/proc", "stress/internal/run", "stress/internal/wait",
	},
	"stress/internal/programs": {
		"stress/explore", "stress/internal/scenario", "stress/internal/programtb", "stress/internal/symbol",
	},
	"stress/internal/programtb": {},
	"stress/internal/symbol":    {},
	"stress/internal/nodes": {
		"stress/load", "stress/measure", "stress/validate", "stress/report", "stress/node",
		"stress/internal/settings", "stress/internal/proc", "stress/internal/run", "stress/internal/wait",
		"stress/internal/scenario", "stress/internal/payload", "stress/internal/plain",
	},
}

var kitMayImport = []string{
	"stress/load", "stress/measure", "stress/validate", "stress/report", "stress/node", "stress/explore",
}

// TestArrowsPointOneWay holds the packages to their layers, by the imports of
// every file, for whatever platform it is.
func TestArrowsPointOneWay(t *testing.T) {
	wrong, files, err := arrows(os.DirFS("."))
	require.NoError(t, err)
	assert.Empty(t, wrong)
	assert.Greater(t, files, 50, "files looked at")
}

func TestArrowsThatPointTheWrongWayAreSeen(t *testing.T) {
	for _, c := range []struct{ file, imports, says string }{
		{"pool/pool.go", "tensile/stress", "pool knows stress"},
		{"pool/pool_test.go", "tensile/stress/measure", "pool knows stress/measure"},
		{"queue/wal/wal.go", "tensile/pool", "queue/wal knows pool"},
		{"cluster/cluster.go", "tensile", "cluster knows tensile"},
		{"stress/load/gate.go", "tensile/stress/measure", "stress/load knows stress/measure"},
		{"stress/measure/ledger_test.go", "tensile/stress/validate", "stress/measure knows stress/validate"},
		{"stress/validate/criteria.go", "tensile/stress/load", "stress/validate knows stress/load"},
		{"stress/report/run.go", "tensile/stress", "stress/report knows stress"},
		{"stress/main.go", "tensile/pool", "stress knows pool"},
		{"stress/main.go", "tensile/stress/load", "stress knows stress/load"},
		{"stress/main.go", "tensile/stress/pooltest", "stress knows stress/pooltest"},
		{"stress/pooltest/pool.go", "tensile/pool", "stress/pooltest knows pool"},
		{"stress/pooltest/line_test.go", "tensile/pool", "stress/pooltest knows pool"},
		{"stress/pooltest/example_test.go", "tensile/stress/routertest", "stress/pooltest knows stress/routertest"},
		{"stress/load/example_test.go", "tensile/pool", "stress/load knows pool"},
		{"stress/pooltest/pool.go", "tensile/stress", "stress/pooltest knows stress"},
		{"stress/pooltest/pool.go", "tensile/stress/routertest", "stress/pooltest knows stress/routertest"},
		{"stress/pooltest/line_test.go", "tensile/stress/routertest", "stress/pooltest knows stress/routertest"},
		{"stress/pooltest/pool.go", "tensile/stress/modeltest", "stress/pooltest knows stress/modeltest"},
		{"stress/node/node.go", "tensile/stress/load", "stress/node knows stress/load"},
		{
			"stress/internal/scenario/frame.go", "tensile/stress/pooltest",
			"stress/internal/scenario knows stress/pooltest",
		},
		{
			"stress/internal/run/run.go", "tensile/stress/internal/scenario",
			"stress/internal/run knows stress/internal/scenario",
		},
		{"stress/internal/proc/proc.go", "tensile/cluster", "stress/internal/proc knows cluster"},
		{"stress/internal/proc/proc_test.go", "tensile/cluster", "stress/internal/proc knows cluster"},
		{"doc.go", "tensile/stress", "tensile knows stress"},
	} {
		wrong, _, err := arrows(fstest.MapFS{c.file: source(c.imports)})
		require.NoError(t, err)
		assert.Equal(t, []string{c.file + ": " + c.says}, wrong)
	}
	for file, imports := range map[string]string{
		"queue/queue.go":                     "tensile/queue/wal",
		"stress/clustertest/example_test.go": "tensile/cluster",
		"stress/main.go":                     "tensile/stress/internal/run",
		"stress/pooltest/load.go":            "tensile/stress/load",
		"stress/pooltest/pool.go":            "tensile/stress/internal/scenario",
		"stress/pool_test.go":                "tensile/pool",
		"bench_test.go":                      "tensile/pool",
		"stress/report/run.go":               "tensile/stress/validate",
		"stress/peers/go.mod":                "",
		"stress/peers/peers.go":              "tensile/pool", // a module of its own
		"testdata/x/x.go":                    "tensile/nowhere",
		"stress/load/arrivals.go":            "time",
	} {
		tree := fstest.MapFS{file: source(imports), "stress/peers/go.mod": &fstest.MapFile{}}
		wrong, _, err := arrows(tree)
		require.NoError(t, err)
		assert.Empty(t, wrong, file)
	}
}

// TestWhatAKitDragsIn: a user of one kit compiles no module but these, and no
// other kit.
func TestWhatAKitDragsIn(t *testing.T) {
	all := []string{
		"github.com/aclements/go-moremath", "github.com/montanaflynn/stats", "github.com/stretchr/testify",
		"go.uber.org/goleak", "go.yaml.in/yaml/v3",
	}
	more := map[string][]string{"stress/sessiontest": {"github.com/anishathalye/porcupine"}}
	for _, kit := range kits {
		t.Run(path.Base(kit), func(t *testing.T) {
			t.Parallel()
			format := "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}"
			list := exec.Command("go", "list", "-deps", "-f", format, "./"+kit)
			out, err := list.Output()
			require.NoError(t, err)
			modules := make(map[string]bool)
			for line := range strings.Lines(string(out)) {
				from, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				switch name, ours := strings.CutPrefix(name, module+"/"); {
				case ours:
					// What belongs to a package that it may know.
					inside := name == "stress/report/chart" || strings.HasPrefix(name, "stress/explore/internal/")
					assert.True(t, name == kit || inside || mayKnow(kit, name, false), name)
				case from != "":
					modules[from] = true
				}
			}
			delete(modules, "golang.org/x/sys") // not on every system
			assert.ElementsMatch(t, append(more[kit], all...), slices.Collect(maps.Keys(modules)))
		})
	}
}

func source(imports string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, "package p\nimport _ %q\n", imports)}
}

// arrows returns a line for every import that points the wrong way in the tree
// of the module, and the number of files looked at.
func arrows(tree fs.FS) (wrong []string, files int, err error) {
	skip := func(folder string) bool { return skipped(tree, folder) }
	err = eachGoFile(tree, skip, func(name string, text []byte) error {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		from := path.Dir(name)
		for _, i := range file.Imports {
			to, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			to, ours := strings.CutPrefix(to+"/", module+"/")
			to = strings.TrimSuffix(to, "/")
			if ours && !mayKnow(from, to, strings.HasSuffix(name, "_test.go")) && !shows(name, to) {
				wrong = append(wrong, fmt.Sprintf("%s: %s knows %s", name, shown(from), shown(to)))
			}
		}
		return nil
	})
	return wrong, files, err
}

// skipped tells whether a folder holds nothing of this module.
func skipped(tree fs.FS, name string) bool {
	base := path.Base(name)
	if base == "testdata" || base[0] == '.' || base[0] == '_' {
		return true
	}
	_, err := fs.Stat(tree, path.Join(name, "go.mod"))
	return !errors.Is(err, fs.ErrNotExist)
}

// shown names the root, whose path within the module is empty.
func shown(name string) string {
	if name == "." || name == "" {
		return module
	}
	return name
}

// shows tells whether a file is the example of a kit, which may have one of the
// implementations for its subject.
func shows(name, to string) bool {
	top, _, _ := strings.Cut(to, "/")
	return path.Base(name) == "example_test.go" && slices.Contains(kits, path.Dir(name)) &&
		slices.Contains(implementations, top)
}

// mayKnow tells whether a file in the folder from may import the package to of
// this module. A package may always be imported by its own tests.
func mayKnow(from, to string, test bool) bool {
	top, _, _ := strings.Cut(from, "/")
	if slices.Contains(implementations, top) {
		return to == top || strings.HasPrefix(to, top+"/")
	}
	if test && (from == "." || from == "stress") {
		return true // here the two sides meet
	}
	if to == from && test {
		return true
	}
	if slices.Contains(kits, from) {
		return slices.Contains(kitMayImport, to) || strings.HasPrefix(to, "stress/internal/")
	}
	if allowed, ok := mayImport[from]; ok {
		return slices.Contains(allowed, to)
	}
	return from != "." && top == "stress" && (to == "stress" || strings.HasPrefix(to, "stress/"))
}
