package stress_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"tensile/stress/internal/settings"
)

// TestGitHubIsTold: a failure is marked at the line of the test, and the page of
// the job has the summary, behind what was there.
func TestGitHubIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("a kit is run twice")
	}
	here, err := os.Getwd()
	require.NoError(t, err)
	for _, c := range []struct {
		name, kit, fault, says string
	}{
		{"passes", "TestStressRouter", "", "Passed"},
		{"fails", "TestFaultyRouter", "swaps two", "Failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			summary := filepath.Join(t.TempDir(), "summary.md")
			require.NoError(t, os.WriteFile(summary, []byte("# Before\n"), 0o644))
			said, err := runKitWith(unexplored, c.kit, small, slow, "STRESS_OUT="+t.TempDir(), plantedVariable+"="+c.fault,
				"GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+summary, "GITHUB_WORKSPACE="+filepath.Dir(here))
			annotation := regexp.MustCompile(`(?m)^::error file=stress/router_planted_test\.go,line=\d+,` +
				`title=Stress%3A Registry routing::routing.*reordered.*%0Ato repeat it: STRESS_SEED=\d+ .*$`)
			if c.fault == "" {
				assert.NoError(t, err, said)
				assert.NotContains(t, said, "::error")
			} else {
				assert.Error(t, err)
				assert.Regexp(t, annotation, said)
			}
			text, err := os.ReadFile(summary)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(string(text), "# Before\n<!--"))
			assert.Equal(t, 1, strings.Count(string(text), " Stress: "))
			assert.Contains(t, string(text), "Stress: "+c.says)
		})
	}
}

// TestGitHubIsToldOfACrash, by the monitor: the run itself cannot any more.
func TestGitHubIsToldOfACrash(t *testing.T) {
	if testing.Short() {
		t.Skip("a kit is run")
	}
	summary := filepath.Join(t.TempDir(), "summary.md")
	said, err := runKitWith(unexplored, "TestFaultyPool", "STRESS_SCALE=1000", "STRESS_OUT="+t.TempDir(),
		plantedVariable+"=crashes",
		"GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+summary)
	assert.Error(t, err)
	assert.Regexp(t, `(?m)^::error title=Stress::the process crashed.*: panic: a goroutine of the subject`, said)
	text, err := os.ReadFile(summary)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(text), " Stress: Failed"), "of a run there is one summary, the last")
	assert.Contains(t, string(text), ": panic: a goroutine of the subject")
}

// TestNoAnnotationElsewhere: on another machine nobody reads workflow commands.
func TestNoAnnotationElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("a kit is run")
	}
	said, err := runKitWith(unexplored, "TestFaultyRouter", small, slow, "STRESS_OUT="+t.TempDir(),
		plantedVariable+"=swaps two")
	assert.Error(t, err)
	assert.NotContains(t, said, "::error")
}

// TestGoTestJSON: what programs read of go test is what they expect, and holds
// every phase; what a runner reads is not wrapped in it. Its exit code is 1.
func TestGoTestJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test")
	}
	cmd := exec.Command("go", "test", "-json", "-count=1", "-run=^TestFaultyRouter$", "-skip=/^explore$", ".")
	cmd.Env = append(os.Environ(), small, slow, "STRESS_OUT="+t.TempDir(), plantedVariable+"=swaps two",
		"GITHUB_ACTIONS=true",
		"GITHUB_STEP_SUMMARY=", targetsVariable+"=")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	ended := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		var event struct{ Action, Test string }
		require.NoError(t, json.Unmarshal([]byte(line), &event), line)
		if event.Action == "pass" || event.Action == "fail" {
			ended[event.Test] = event.Action
		}
	}
	assert.Equal(t, "fail", ended["TestFaultyRouter"])
	assert.Equal(t, "pass", ended["TestFaultyRouter/errors"])
	assert.Equal(t, "fail", ended["TestFaultyRouter/order"], "the phase that found it")
	if _, err := os.Stat("/proc/self/fd"); err == nil {
		assert.Contains(t, said.String(), "::error file=")
	}
}

// TestFilesForCI are YAML, set no variable that would be refused, and run what
// the guide says.
func TestFilesForCI(t *testing.T) {
	for _, name := range []string{"github.yml", "gitlab.yml"} {
		text, err := os.ReadFile(filepath.Join("..", "docs", "ci", name))
		require.NoError(t, err)
		var content map[string]any
		require.NoError(t, yaml.Unmarshal(text, &content), name)
		assert.NotEmpty(t, content)
		for _, variable := range regexp.MustCompile(`STRESS_[A-Z_]+`).FindAllString(string(text), -1) {
			assert.True(t, settings.Known(variable), "%s: %s", name, variable)
		}
		assert.Contains(t, string(text), "-run Stress ./...", name)
	}
}
