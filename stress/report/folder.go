package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tensile/stress/validate"
)

// ErrFolder is wrapped by the error for an output folder that cannot be used.
var ErrFolder = errors.New("report: output folder cannot be written")

// files are what Write leaves in the folder.
var files = []struct {
	name   string
	render func(io.Writer, *Run) error
}{
	{resultName, writeJSON},
	{"results.csv", writeCSV},
	{"report.md", writeMarkdown},
	{"report.html", writePage},
	{"summary.md", writeSummary},
	{"checklist.md", writeChecklist},
	{"bench.txt", writeBench},
}

// The other files of the folder: LogName grows while a run goes on, and
// CrashName is there if the process crashed.
const (
	LogName    = "execution.log"
	CrashName  = "crash.log"
	resultName = "results.json"
)

// evidenceFolder holds the traces and profiles of what failed.
const evidenceFolder = "evidence"

// marker is an empty file in every folder that a run has made or taken over: what
// is in one without it belongs to somebody else.
const marker = ".tensile"

// Folder is where a run is left. Safe for concurrent use.
type Folder struct {
	dir string
	mu  sync.Mutex // one writer at a time
	log *os.File
}

// Open makes the folder where it is missing and begins a new execution.log; what
// a failure of an earlier run had left goes away. In a folder that no run has
// left nothing is removed, and nothing is written over: where a file of a report would
// have to be, the error says so. It wraps ErrFolder and the reason.
//
// One run at a time may use a folder.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := takeOver(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return open(dir, os.O_TRUNC)
}

// takeOver marks a folder, and removes what an earlier run has left of a failure.
func takeOver(dir string) error {
	ours, err := marked(dir)
	if err != nil {
		return err
	}
	// Before there were markers a run left its results all the same.
	earlier := false
	if !ours {
		if earlier, err = leftBefore(dir); err != nil {
			return err
		}
	}
	for _, sub := range []string{logsFolder, evidenceFolder} {
		old := filepath.Join(dir, sub)
		own, err := marked(old)
		if err == nil && earlier && !own {
			own, err = holdsOnly(old, sub)
		}
		if err == nil && own {
			err = os.RemoveAll(old)
		}
		if err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(dir, CrashName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return leaveMarker(dir)
}

// marked tells whether a run has made a folder, or taken it over.
func marked(dir string) (bool, error) {
	switch _, err := os.Lstat(filepath.Join(dir, marker)); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}

func leaveMarker(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, marker), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// leftBefore tells whether a folder without a marker holds the report of a run.
// Where it does not, and there is a file that a report would write over, the error
// names that.
func leftBefore(dir string) (bool, error) {
	if _, err := Load(dir); err == nil {
		return true, nil
	}
	names := []string{LogName, CrashName}
	for _, file := range files {
		names = append(names, file.name)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return false, &fs.PathError{Op: "write", Path: path, Err: errForeign}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}

var errForeign = errors.New("no run has left this: name another folder, or remove it")

// holdsOnly tells whether all that is in a folder of a report is named as a run
// names it: the folders of logs, and the files of evidence, begin with the name
// of a scenario.
func holdsOnly(dir, sub string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, e := range entries {
		known := slices.ContainsFunc(validate.Scenarios, func(s struct{ ID, Title string }) bool {
			if sub == logsFolder {
				return e.IsDir() && e.Name() == s.ID
			}
			return !e.IsDir() && (strings.HasPrefix(e.Name(), s.ID+".") || strings.HasPrefix(e.Name(), s.ID+"-"))
		})
		if !known {
			return false, err
		}
	}
	return len(entries) > 0, err
}

// Reopen is Open for a folder whose run has died: everything in it stays.
func Reopen(dir string) (*Folder, error) { return open(dir, 0) }

func open(dir string, flags int) (*Folder, error) {
	log, err := os.OpenFile(filepath.Join(dir, LogName), os.O_CREATE|os.O_WRONLY|os.O_APPEND|flags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return &Folder{dir: dir, log: log}, nil
}

// mostRead bounds what is read of a file, in bytes; a run leaves a few hundred
// thousand.
const mostRead = 256 << 20

// readFile is os.ReadFile for files of a size that a run could have written.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, mostRead+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if len(text) > mostRead {
		return nil, fmt.Errorf("%s is larger than %d bytes, which are accepted", path, mostRead)
	}
	return text, nil
}

// Load reads the results.json that a run left in a folder.
func Load(dir string) (*Run, error) {
	text, err := readFile(filepath.Join(dir, resultName))
	if err != nil {
		return nil, err
	}
	r, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("report: %s in %s: %w", resultName, dir, err)
	}
	return r, nil
}

// complete has checks say again what their criteria say and the file does not.
func complete(checks []validate.Check) {
	for i, c := range checks {
		known := validate.Known(c.ID)
		checks[i].Metric, checks[i].Part = known.Metric, known.Part
	}
}

// parse reads a results.json.
func parse(text []byte) (*Run, error) {
	var r Run
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("it has schema %d, must be %d", r.Schema, Schema)
	}
	for i, s := range r.Scenarios {
		if s == nil || s.ID == "" {
			return nil, fmt.Errorf("scenario %d has no id", i+1)
		}
		complete(s.Checks)
	}
	complete(r.Checks)
	return &r, nil
}

// Dir is the name of the folder.
func (f *Folder) Dir() string { return f.dir }

// Path is the full name of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// Logf adds a line to execution.log. A line that cannot be written is lost: the
// log describes the run, it does not decide it.
func (f *Folder) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(f.log, "%s  %s\n", time.Now().Format("2006-01-02T15:04:05.000Z07:00"), fmt.Sprintf(format, args...))
}

// logsFolder holds what child processes print, a folder for each scenario.
const logsFolder = "logs"

// Logs is the folder of what the child processes of a scenario print.
func (f *Folder) Logs(scenario string) string { return f.Path(filepath.Join(logsFolder, scenario)) }

// CreateLog makes the file for what a child process of a scenario prints. A
// file of an earlier run is emptied. The error wraps ErrFolder, also where there are
// logs that no run has left.
func (f *Folder) CreateLog(scenario, name string) (*os.File, error) {
	return f.create(logsFolder, filepath.Join(scenario, name+".log"))
}

// CreateEvidence is CreateLog for what is kept of a failure.
func (f *Folder) CreateEvidence(name string) (*os.File, error) { return f.create(evidenceFolder, name) }

// create makes a file in a folder that is this run's.
func (f *Folder) create(sub, name string) (*os.File, error) {
	dir := f.Path(sub)
	file, err := func() (*os.File, error) {
		if err := own(dir); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		return os.Create(path)
	}()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return file, nil
}

// own makes a folder with a marker, unless it has one.
func own(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return leaveMarker(dir)
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if ours, err := marked(dir); err != nil || ours {
		return err
	}
	return &fs.PathError{Op: "write", Path: dir, Err: errForeign}
}

// RemoveLogs removes the files that CreateLog made for a scenario.
func (f *Folder) RemoveLogs(scenario string) error {
	all := f.Path(logsFolder)
	ours, err := marked(all)
	if err == nil && ours {
		err = os.RemoveAll(f.Logs(scenario))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if entries, err := os.ReadDir(all); ours && err == nil && len(entries) == 1 { // the marker
		_ = os.RemoveAll(all) // no harm is done where it stays
	}
	return nil
}

// Write replaces every file by the run as it is now. Each is complete or
// untouched. All are tried; the errors are joined.
func (f *Folder) Write(r *Run) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.total()
	var failed []error
	for _, file := range files {
		var text bytes.Buffer
		if err := file.render(&text, r); err != nil {
			failed = append(failed, fmt.Errorf("report: %s: %w", file.name, err))
			continue
		}
		if err := Replace(f.Path(file.name), text.Bytes()); err != nil {
			failed = append(failed, fmt.Errorf("%w: %w", ErrFolder, err))
		}
	}
	return errors.Join(failed...)
}

// Close ends the log.
func (f *Folder) Close() error { return f.log.Close() }

// Replace puts text in a new file and moves it over the old one, so that whoever
// reads it finds it complete or as it was.
func Replace(path string, text []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		os.Remove(temporary.Name())
	}
	return err
}
