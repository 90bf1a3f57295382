package scenario

import (
	"flag"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"tensile/stress/internal/settings"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Replay is the command that repeats what is at work, or has failed, from any folder
// of the module.
func (s *Scenario) Replay() string {
	words := slices.Concat(settings.Changed(os.Environ(), s.Seed, s.N), []string{"go", "test", "-count=1"})
	if testing.Short() {
		words = append(words, "-short")
	}
	if s.Environment().Race {
		words = append(words, "-race")
	}
	if tags := buildSetting("-tags"); tags != "" {
		words = append(words, "-tags="+quoted(tags))
	}
	if limit := Flag("test.timeout"); limit != "" && limit != "0s" && limit != "10m0s" {
		words = append(words, "-timeout="+limit)
	}
	words = append(words, "-run", quoted(s.pattern()))
	if skip := Flag("test.skip"); skip != "" {
		words = append(words, "-skip", quoted(skip))
	}
	return strings.Join(append(words, ownPackage()), " ")
}

// pattern is what -run takes: of a scenario that has failed the phases that did,
// unless what failed is of the whole.
func (s *Scenario) pattern() string {
	var levels []string
	for _, name := range strings.Split(s.T.Name(), "/") {
		levels = append(levels, "^"+regexp.QuoteMeta(name)+"$")
	}
	lines := s.failed()
	if lines == nil {
		lines = slices.DeleteFunc(slices.Clone(s.lines), func(l *line) bool { return l.state == report.NotRun })
	}
	if len(lines) == len(s.lines) && len(lines) != 1 || len(lines) == 0 {
		return strings.Join(levels, "/")
	}
	var names []string
	for _, l := range lines {
		names = append(names, regexp.QuoteMeta(strings.ReplaceAll(l.name, " ", "_")))
	}
	if len(names) == 1 {
		return strings.Join(append(levels, "^"+names[0]+"$"), "/")
	}
	return strings.Join(append(levels, "^("+strings.Join(names, "|")+")$"), "/")
}

// failed are the phases that have failed; where none has, those that show a criterion
// that has; nil if nothing failed, or something that is of no phase.
func (s *Scenario) failed() (lines []*line) {
	for _, l := range s.lines {
		if l.state == report.Failed {
			lines = append(lines, l)
		}
	}
	if len(lines) > 0 {
		return lines // what else is wrong is often made by it
	}
	for _, c := range validate.FailedOf(s.list.Checks()) {
		found := false
		for _, l := range s.lines {
			shows := slices.Contains(l.shows, strings.TrimPrefix(c.ID, s.ID+"."))
			found = found || shows
			if shows && !slices.Contains(lines, l) {
				lines = append(lines, l)
			}
		}
		if !found {
			return nil
		}
	}
	return lines
}

// quoted is a word for a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// Flag returns the value of a flag of the test binary; "" if it has none.
func Flag(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// ownPackage is the import path of the package under test.
func ownPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "."
	}
	return strings.TrimSuffix(info.Path, ".test")
}

// buildSetting is how this binary was built; "" for the default.
func buildSetting(key string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
