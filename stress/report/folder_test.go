package report

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

// names are the files in a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestFolderIsMadeAndLeftClean(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f := openFolder(t, dir)
	assert.Equal(t, dir, f.Dir())
	for range 3 {
		require.NoError(t, f.Write(sampleRun()))
	}
	want := []string{LogName, marker}
	for _, file := range files {
		want = append(want, file.name)
	}
	assert.ElementsMatch(t, want, names(t, dir), "and no temporary file")
	back, err := Load(dir)
	require.NoError(t, err)
	assert.Equal(t, sampleRun(), back)
	info, err := os.Stat(f.Path("report.md"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm(), "for others to read")
}

func TestFolderThatCanNotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/none", "a\x00b", ""} {
		_, err := Open(dir)
		assert.ErrorIs(t, err, ErrFolder, dir)
		var reason *os.PathError
		assert.ErrorAs(t, err, &reason, "the error says why: %v", err)
	}
	if os.Getuid() != 0 { // who is root may write everywhere
		locked := t.TempDir()
		require.NoError(t, os.Chmod(locked, 0o500))
		_, err := Open(locked)
		assert.ErrorIs(t, err, ErrFolder)
		assert.ErrorIs(t, err, os.ErrPermission)
	}
}

// TestOneFileThatCanNotBeWritten keeps none of the others from being written.
func TestOneFileThatCanNotBeWritten(t *testing.T) {
	f := openFolder(t, t.TempDir())
	require.NoError(t, os.MkdirAll(filepath.Join(f.Path("report.md"), "in the way"), 0o755))
	err := f.Write(sampleRun())
	assert.ErrorIs(t, err, ErrFolder)
	assert.ErrorContains(t, err, "report.md")
	for _, other := range []string{"results.json", "results.csv", "checklist.md", "bench.txt", "report.html"} {
		assert.FileExists(t, f.Path(other))
	}
	for _, name := range names(t, f.Dir()) {
		assert.False(t, strings.HasPrefix(name, ".") && name != marker, "%s was left behind", name)
	}
}

// TestFigureThatCanNotBeEncoded is an error of its file alone.
func TestFigureThatCanNotBeEncoded(t *testing.T) {
	f := openFolder(t, t.TempDir())
	require.NoError(t, f.Write(&Run{Schema: Schema, State: Running}))
	r := sampleRun()
	r.Scenarios[1].Burst.Throughput = math.NaN()
	err := f.Write(r)
	assert.ErrorContains(t, err, "results.json")
	assert.NotErrorIs(t, err, ErrFolder)
	back, err := Load(f.Dir())
	require.NoError(t, err, "the last complete picture is there")
	assert.Equal(t, Running, back.State)
}

func TestFolderThatWentAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	f := openFolder(t, dir)
	require.NoError(t, os.RemoveAll(dir))
	err := f.Write(sampleRun())
	assert.ErrorIs(t, err, ErrFolder)
	assert.ErrorIs(t, err, os.ErrNotExist)
	f.Logf("a line that is lost")
}

// fullVariable has a re-executed test binary write a report to a folder named
// by it, on a disk that is full.
const fullVariable = "TENSILE_REPORT_FULL"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullVariable); dir != "" {
		os.Exit(writeToFullDisk(dir))
	}
	os.Exit(m.Run())
}

func writeToFullDisk(dir string) int {
	f, err := Open(dir)
	if err == nil {
		err = f.Write(&Run{Schema: Schema, State: Running})
	}
	if err != nil {
		println("before:", err.Error())
		return 1
	}
	fillDisk()
	if err = f.Write(sampleRun()); err == nil {
		println("a full disk was no error")
		return 1
	}
	for _, why := range []string{ErrFolder.Error(), "results.json", "report.md"} {
		if !strings.Contains(err.Error(), why) || !errors.Is(err, ErrFolder) {
			println("the error does not say", why, ":", err.Error())
			return 1
		}
	}
	return 0
}

// TestFullDisk: the error says so, and the files of before stay whole.
func TestFullDisk(t *testing.T) {
	if !canFillDisk {
		t.Skip("the size of files can not be limited here")
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fullVariable+"="+dir)
	said, err := child.CombinedOutput()
	require.NoError(t, err, string(said))
	back, err := Load(dir)
	require.NoError(t, err)
	assert.Equal(t, Running, back.State)
	for _, name := range names(t, dir) {
		assert.False(t, strings.HasPrefix(name, ".") && name != marker, "%s was left behind", name)
	}
}

func TestLogGrows(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				f.Logf("line %d", i)
			}
		})
	}
	all.Wait()
	again, err := Reopen(dir)
	require.NoError(t, err)
	again.Logf("behind it")
	require.NoError(t, again.Close())
	text, err := os.ReadFile(f.Path(LogName))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	assert.Len(t, lines, 401)
	for _, line := range lines {
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+  (line \d|behind it)$`, line)
	}
	assert.Contains(t, lines[400], "behind it")

	openFolder(t, dir) // another run begins another log
	text, err = os.ReadFile(f.Path(LogName))
	require.NoError(t, err)
	assert.Empty(t, text)
}

// TestAnotherRunRemovesWhatAFailureLeft, and keeps files that are not its own.
func TestAnotherRunRemovesWhatAFailureLeft(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	log, err := f.CreateLog("pooling", "echo")
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.NoError(t, os.WriteFile(f.Path(CrashName), nil, 0o600))
	require.NoError(t, os.WriteFile(f.Path("mine.txt"), nil, 0o600))
	evidence, err := f.CreateEvidence("pooling.trace")
	require.NoError(t, err)
	require.NoError(t, evidence.Close())
	openFolder(t, dir)
	assert.Equal(t, []string{marker, "execution.log", "mine.txt"}, names(t, dir))
}

// foreign are files that no run has left, under names that a run uses.
var foreign = []string{"logs/production.log", "logs/pooling/web.log", "evidence/case-1/photo.jpg"}

func putFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	}
}

func assertUntouched(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		assert.NoError(t, err)
		assert.Equal(t, "precious", string(text), name)
	}
}

// TestForeignFoldersStay, however often a run is left beside them, and nothing is
// put into them: the error says where, and what to do.
func TestForeignFoldersStay(t *testing.T) {
	dir := t.TempDir()
	putFiles(t, dir, foreign...)
	for range 2 {
		f, err := Open(dir)
		require.NoError(t, err)
		_, err = f.CreateLog("pooling", "web")
		assert.ErrorIs(t, err, ErrFolder)
		assert.ErrorContains(t, err, f.Path("logs")+": no run has left this: name another folder, or remove it")
		_, err = f.CreateEvidence("pooling.trace")
		assert.ErrorContains(t, err, f.Path("evidence"))
		require.NoError(t, f.RemoveLogs("pooling"))
		require.NoError(t, f.Write(sampleRun()))
		require.NoError(t, f.Close())
		assertUntouched(t, dir, foreign...)
	}
}

// TestForeignFilesAreNotWrittenOver: a folder with any of them is refused.
func TestForeignFilesAreNotWrittenOver(t *testing.T) {
	all := []string{LogName, CrashName}
	for _, file := range files {
		all = append(all, file.name)
	}
	for _, name := range all {
		dir := t.TempDir()
		putFiles(t, dir, name)
		_, err := Open(dir)
		assert.ErrorIs(t, err, ErrFolder)
		assert.ErrorContains(t, err, filepath.Join(dir, name)+": no run has left this")
		assertUntouched(t, dir, name)
		assert.Equal(t, []string{name}, names(t, dir))
	}
}

// TestFolderOfAnEarlierVersion has no marker: its report tells it, and its logs and
// evidence are those of a run if all of their names are.
func TestFolderOfAnEarlierVersion(t *testing.T) {
	for _, c := range []struct {
		holds, left []string
	}{
		{[]string{"logs/pooling/echo.log", "evidence/sessions-key.json", "evidence/pooling.trace", CrashName}, nil},
		{foreign, foreign},
		{[]string{"logs/echo.log", "evidence/pooling.trace"}, []string{"logs/echo.log"}},
	} {
		dir := t.TempDir()
		f := openFolder(t, dir)
		require.NoError(t, f.Write(sampleRun()))
		require.NoError(t, os.Remove(f.Path(marker)))
		putFiles(t, dir, c.holds...)
		openFolder(t, dir)
		assertUntouched(t, dir, c.left...)
		for _, name := range c.holds {
			if !slices.Contains(c.left, name) {
				assert.NoFileExists(t, filepath.Join(dir, name))
			}
		}
	}
}

func TestLogsOfChildren(t *testing.T) {
	f := openFolder(t, t.TempDir())
	for _, scenario := range []string{"one", "two"} {
		log, err := f.CreateLog(scenario, "child")
		require.NoError(t, err)
		_, err = log.WriteString("said")
		require.NoError(t, errors.Join(err, log.Close()))
	}
	require.NoError(t, f.RemoveLogs("one"))
	assert.FileExists(t, f.Path("logs/two/child.log"))
	require.NoError(t, f.RemoveLogs("two"))
	require.NoError(t, f.RemoveLogs("three"), "it has none")
	assert.NoDirExists(t, f.Path("logs"))
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(dir)
	assert.ErrorIs(t, err, os.ErrNotExist)
	for text, says := range map[string]string{
		"":                                   "unexpected end",
		"{":                                  "unexpected end",
		"[]":                                 "cannot unmarshal",
		"{}":                                 "it has schema 0, must be 2",
		`{"schema": 1}`:                      "it has schema 1, must be 2",
		`{"schema": 2} {}`:                   "after top-level value",
		`{"schema": 2, "scenarios": [null]}`: "scenario 1 has no id",
		`{"schema": 2, "scenarios": [{}]}`:   "scenario 1 has no id",
		`{"schema": 2, "seconds": "x"}`:      "cannot unmarshal",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, resultName), []byte(text), 0o600))
		_, err := Load(dir)
		assert.ErrorContains(t, err, says, text)
		assert.ErrorContains(t, err, dir, "the error says where")
	}
}

// TestLoadIsBounded: what does not end is refused, and not read to its end.
func TestLoadIsBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(dir, resultName)); err != nil {
		t.Skip("no links here: ", err)
	}
	_, err := Load(dir)
	assert.ErrorContains(t, err, "is larger than")
}

// FuzzLoad: whatever can be decoded can be written again, to every file.
func FuzzLoad(f *testing.F) {
	var text bytes.Buffer
	if err := writeJSON(&text,
		&Run{Schema: Schema, Scenarios: []*Scenario{{ID: "pooling", State: Passed, Burst: &Burst{}}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Add([]byte(`{"schema": 2, "scenarios": [{"id": "x", "steady": {}, "checks": [{}], "balances": [{}], ` +
		`"charts": [{}], "knee": {}}]}`))
	f.Add([]byte(`{"schema": 2, "charts": [{"x": {"log": true}, "lines": [{"points": [[-1, 0]]}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parse(text)
		if err != nil {
			return
		}
		r.total()
		for _, file := range files {
			if err := file.render(io.Discard, r); err != nil {
				t.Fatalf("%s: %v", file.name, err)
			}
		}
		WriteTable(io.Discard, r)
		for _, s := range r.Scenarios {
			_ = s.Line()
		}
	})
}
