package stress

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"tensile/stress/report"
)

// GitHub Actions tells a job by these where it is; see "Default environment
// variables" and "Workflow commands" in its documentation.
const (
	actionsVariable   = "GITHUB_ACTIONS"
	summaryVariable   = "GITHUB_STEP_SUMMARY"
	workspaceVariable = "GITHUB_WORKSPACE"
)

// summarize leaves the run on the page of the job, if there is one.
func summarize(folder *report.Folder, r *report.Run) {
	path := os.Getenv(summaryVariable)
	if path == "" {
		return
	}
	if err := report.AppendSummary(path, r); err != nil {
		folder.Logf("%s=%q: no summary: %v", summaryVariable, path, err)
	}
}

// annotate marks a failed scenario at the line of its test, where GitHub shows
// the change that broke it.
func (s *scenario) annotate() {
	if os.Getenv(actionsVariable) != "true" || len(s.result.Failures) == 0 {
		return
	}
	first := s.result.Failures[:min(len(s.result.Failures), fewViolations)]
	text := strings.Join(append(slices.Clone(first), "to repeat it: "+s.result.Replay), "\n")
	s.run.console.annotate(fmt.Sprintf("::error file=%s,line=%d,title=%s::%s\n", property(s.place.file), s.place.line,
		property("Stress: "+s.result.Title), data(text)))
}

// data and property escape what a workflow command is given.
func data(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(text))
}

// place is a line of a file.
type place struct {
	file string
	line int
}

// caller is where the kit was called from: the first frame on the stack that is
// not in this package.
func caller() place {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "tensile/stress.") {
			return place{relative(frame.File, os.Getenv(workspaceVariable)), frame.Line}
		}
		if !more {
			return place{}
		}
	}
}

// relative is the name of a file against a folder, if it is in that.
func relative(file, folder string) string {
	if folder == "" {
		return file
	}
	name, err := filepath.Rel(folder, file)
	if err != nil || strings.HasPrefix(name, "..") {
		return file
	}
	return filepath.ToSlash(name)
}

// annotate writes a workflow command to where a runner sees it as it is: under
// "go test -json" the standard output is wrapped.
func (c *console) annotate(command string) {
	c.print(func() {
		if parent := parentStderr(); parent != nil {
			_, _ = io.WriteString(parent, command) // a runner that does not listen is not the subject's fault
			_ = parent.Close()
			return
		}
		_, _ = io.WriteString(c.out, command)
	})
}
