package explore

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// requestVariable names, in the process that runs the schedules, the file that says
// which. The answer goes beside it.
const requestVariable = "TENSILE_EXPLORE"

// request is what a test asks of the process that runs its schedules.
type request struct {
	Package string // the binary must be of
	Test    string
	Earlier []Outcome // of the calls before this one in that test
	Options options
	// Announce has each schedule written down before it is run: the process has
	// died in one of them.
	Announce bool

	quiet bool // what the process prints is not shown
}

// answer is what comes back.
type answer struct {
	Refused string // why the schedules can not be controlled
	Outcome Outcome
}

const (
	requestFile  = "request.json"
	answerFile   = "answer.json"
	announceFile = "schedule"
)

// theRequest is what this process was started for, nil in any other.
var theRequest = readRequest()

// folder is the working folder at the start: that of the package.
var folder, _ = os.Getwd()

func readRequest() *request {
	place := os.Getenv(requestVariable)
	if place == "" {
		return nil
	}
	var r request
	text, err := os.ReadFile(filepath.Join(place, requestFile))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "explore: %s=%q: %v\n", requestVariable, place, err)
		os.Exit(2)
	}
	return &r
}

// write puts a value as JSON into a file, whole or not at all.
func write(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// ownPackage is the import path of the package under test.
func ownPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return strings.TrimSuffix(info.Path, ".test")
}

// oneLine cuts a text to one line of so many bytes.
func oneLine(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
