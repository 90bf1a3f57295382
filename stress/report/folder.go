package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
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
	{"summary.md", WriteSummary},
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

// EvidenceFolder is the folder of the traces and profiles of what failed.
const EvidenceFolder = "evidence"

// Folder is where a run is left. Safe for concurrent use.
type Folder struct {
	dir string
	mu  sync.Mutex // one writer at a time
	log *os.File
}

// Open makes the folder where it is missing and begins a new execution.log; what
// a failure of an earlier run had left goes away. The error wraps
// ErrFolder and the reason.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for _, old := range []string{CrashName, logsFolder, EvidenceFolder} {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	return open(dir, os.O_TRUNC)
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

// parse reads a results.json.
func parse(text []byte) (*Run, error) {
	var r Run
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("it has schema %d, accepted is %d", r.Schema, Schema)
	}
	for i, s := range r.Scenarios {
		if s == nil || s.ID == "" {
			return nil, fmt.Errorf("scenario %d has no id", i+1)
		}
	}
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
// file of an earlier run is emptied.
func (f *Folder) CreateLog(scenario, name string) (*os.File, error) {
	dir := f.Logs(scenario)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	file, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return file, nil
}

// RemoveLogs removes the files that CreateLog made for a scenario.
func (f *Folder) RemoveLogs(scenario string) error {
	if err := os.RemoveAll(f.Logs(scenario)); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	_ = os.Remove(f.Path(logsFolder)) // refused while another scenario has files there
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
