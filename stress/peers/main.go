// Command peers compares what is in this repository with what else there is:
// the same work, given to each in the same process and run, in turns.
//
//	make peers               # every comparison, into docs/PEERS.md
//	go run . -only routing   # some of them, to the terminal
//
// It is a module of its own, so that nobody who uses tensile downloads the
// peers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
)

// scenarios are the comparisons there are, a file for each.
var scenarios = []func() []comparison{
	pooling,
	routing,
	queueing,
	balancing,
	calling,
	detecting,
	working,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	only := flags.String("only", "", "compare only where the scenario or the work matches this `regexp`")
	rounds := flags.Int("rounds", 12, "samples of each contestant, at least 6")
	seed := flags.Uint64("seed", rand.Uint64(), "of the order in which contestants take turns")
	page := flags.String("page", "", "write the tables to this `file`, in Markdown")
	samples := flags.String("samples", "", "write every sample to this `file`, in Go benchmark format")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only=%q, must be a regular expression: %w", *only, err)
	}
	if *rounds < minRounds {
		return fmt.Errorf("-rounds=%d, must be %d or more: fewer have no confidence interval", *rounds, minRounds)
	}
	var picked []comparison
	for _, list := range scenarios {
		for _, c := range list() {
			if chosen.MatchString(c.scenario) || chosen.MatchString(c.work) {
				picked = append(picked, c)
			}
		}
	}
	if len(picked) == 0 {
		return fmt.Errorf("-only=%q matches no comparison", *only)
	}
	var results []result
	for _, c := range picked {
		fmt.Fprintf(os.Stderr, "%s: %s\n", c.scenario, c.work)
		r, err := c.run(*rounds, *seed, func(line string) { fmt.Fprintln(os.Stderr, "   ", line) })
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	return errors.Join(
		write(*page, os.Stdout, func(w io.Writer) { writePage(w, results, *rounds, *seed) }),
		write(*samples, nil, func(w io.Writer) { writeSamples(w, results) }),
	)
}

// write has body write to the file at path, or to otherwise where there is no
// path.
func write(path string, otherwise io.Writer, body func(io.Writer)) error {
	if path == "" {
		if otherwise != nil {
			body(otherwise)
		}
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	body(file)
	return file.Close()
}
