package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tensile/stress/internal/trials"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("explorebench: ")
	effort := trials.Effort{}
	flag.IntVar(&effort.Trials, "trials", 20, "how often each bug is looked for")
	flag.IntVar(&effort.Within, "within", 100, "schedules of each trial")
	flag.IntVar(&effort.Fresh, "fresh", 5, "processes in which each find is repeated")
	flag.IntVar(&effort.Sound, "sound", 20_000, "schedules of each sound twin")
	groups := flag.String("groups", "kernels,classics,museum,builds", "what is measured")
	name := flag.String("name", ".", "regular expression for the names of the bugs to measure")
	flag.Parse()
	if effort.Trials < 1 || effort.Within < 1 || effort.Fresh < 0 || effort.Sound < 1 || flag.NArg() > 0 {
		log.Fatal("-trials, -within and -sound must be at least 1, -fresh at least 0, and there must be no arguments")
	}
	b := bench{effort: effort, name: *name}
	for group := range strings.SplitSeq(*groups, ",") {
		if err := b.measure(group); err != nil {
			log.Fatalf("%s: %v", group, err)
		}
	}
	if len(b.results) > 0 {
		table(os.Stdout, b.results)
	}
}

// bench measures groups of bugs, each by a test in a process of its own.
type bench struct {
	effort  trials.Effort
	name    string
	results []trials.Result
}

func (b *bench) measure(group string) error {
	root, err := output(".", "go", "list", "-m", "-f", "{{.Dir}}", "tensile")
	if err != nil {
		return err
	}
	switch group {
	case "kernels":
		place, err := os.MkdirTemp("", "explorebench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(place)
		skipped, err := writeModule(place, root)
		if err != nil {
			return err
		}
		for _, s := range skipped {
			fmt.Fprintln(os.Stderr, "explorebench: not measured:", s)
		}
		return b.test(place, "TestKernels")
	case "classics":
		return b.test(filepath.Join(root, "stress/explorebench"), "TestClassics")
	case "museum":
		return b.test(filepath.Join(root, "stress/museum"), "TestMuseumExplored")
	case "builds":
		return builds(os.Stdout, root)
	}
	return fmt.Errorf("must be kernels, classics, museum or builds")
}

// test has the test of the package in a folder measure what it knows of.
func (b *bench) test(folder, test string) error {
	effort, err := json.Marshal(b.effort)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "test", "-count=1", "-timeout=0", "-v", "-run", "^"+test+"$/"+b.name, ".")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), trials.Variable+"="+string(effort), "GOWORK=off",
		"GOFLAGS="+os.Getenv("GOFLAGS")+" -mod=mod")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	said, err := b.read(out)
	if ended := cmd.Wait(); ended != nil {
		return fmt.Errorf("%w: %s", ended, said)
	}
	return err
}

// read takes in results until the output ends, and returns its last other lines.
func (b *bench) read(out io.Reader) (said string, err error) {
	var tail []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, is := strings.CutPrefix(lines.Text(), trials.Mark)
		if !is {
			tail = append(tail, lines.Text())
			tail = tail[max(0, len(tail)-20):]
			continue
		}
		var r trials.Result
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return "", err
		}
		fmt.Fprintf(os.Stderr, "explorebench: %s\n", row(r))
		b.add(r)
	}
	return strings.Join(tail, "\n"), lines.Err()
}

// add takes in a result. Of an exhibit there are two: the version with the bug, and
// then the one without, as its twin.
func (b *bench) add(r trials.Result) {
	if last := len(b.results) - 1; last >= 0 && b.results[last].Group == r.Group && b.results[last].Name == r.Name {
		bug := &b.results[last]
		bug.Twin, bug.Alarms, bug.Schedule = true, r.Alarms, r.Schedule
		return
	}
	b.results = append(b.results, r)
}

func output(folder string, command ...string) (string, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = folder
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
