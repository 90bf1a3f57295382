package run

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
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

// Annotate marks a failure at a line, where GitHub shows the change that broke
// it.
func (r *Run) Annotate(at Place, title, text string) {
	if os.Getenv(actionsVariable) == "true" {
		r.Console.annotate(fmt.Sprintf("::error file=%s,line=%d,title=%s::%s\n",
			property(at.file), at.line, property(title), data(text)))
	}
}

// data and property escape what a workflow command is given.
func data(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(text))
}

// Place is a line of a file.
type Place struct {
	file string
	line int
}

// Caller is where the kit was called from: the frame that the testing package
// called, in whatever package it is.
func Caller() Place {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	var test Place
	for {
		frame, more := frames.Next()
		if frame.Function == "testing.tRunner" {
			return test
		}
		test = Place{relative(frame.File, os.Getenv(workspaceVariable)), frame.Line}
		if !more {
			return Place{}
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
