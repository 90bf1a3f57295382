package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	pkg    string
	tests  string
	run    string
	kinds  *regexp.Regexp
	sample int
	seed   uint64
	list   bool
}

func parse(args []string, help io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.Usage = func() {
		fmt.Fprintln(help, "usage: mutants PACKAGE [flags]")
		flags.PrintDefaults()
		for _, k := range kinds {
			fmt.Fprintf(help, "  %-8s %s\n", k.name, k.does)
		}
	}
	flags.StringVar(&o.tests, "test", "", "the `package` of the tests, PACKAGE if not set")
	flags.StringVar(&o.run, "run", "Stress", "run the tests that match this `regexp`")
	only := flags.String("kinds", ".", "make mutants of the kinds that match this `regexp`")
	flags.IntVar(&o.sample, "sample", 0, "try that `many`, drawn by the seed; 0 for all")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64(), "of the sample")
	flags.BoolVar(&o.list, "list", false, "list the mutants, and run nothing")
	for len(args) > 0 { // the package may stand before the flags, as in go test
		if err := flags.Parse(args); err != nil {
			return o, err
		}
		args = flags.Args()
		if len(args) == 0 {
			break
		}
		if o.pkg != "" {
			return o, fmt.Errorf("%q and %q: there must be one package", o.pkg, args[0])
		}
		o.pkg, args = args[0], args[1:]
	}
	if o.pkg == "" {
		return o, errors.New("which package? There must be one, such as ./pool")
	}
	if o.tests == "" {
		o.tests = o.pkg
	}
	if o.sample < 0 {
		return o, fmt.Errorf("-sample=%d, must be 0 or more", o.sample)
	}
	if _, err := regexp.Compile(o.run); err != nil {
		return o, fmt.Errorf("-run=%q, must be a regular expression: %w", o.run, err)
	}
	if o.kinds, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-kinds=%q, must be a regular expression: %w", *only, err)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	all, err := mutantsOf(o.pkg)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !o.kinds.MatchString(m.kind) })
	if len(all) == 0 {
		return fmt.Errorf("%s: there is nothing to make a mutant of", o.pkg)
	}
	made := len(all)
	if o.sample > 0 && o.sample < made {
		random := rand.New(rand.NewPCG(o.seed, 0))
		keep := random.Perm(made)[:o.sample]
		slices.Sort(keep)
		for i, k := range keep {
			all[i] = all[k]
		}
		all = all[:o.sample]
	}
	if o.list {
		for _, m := range all {
			fmt.Fprintln(out, m)
		}
		return nil
	}
	place, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	s := suite{tests: o.tests, run: o.run, place: place}
	sound, err := s.try(ctx, nil)
	if err != nil {
		return err
	}
	if sound.outcome != survived {
		return fmt.Errorf("%s, without a fault: %s: %s", s.tests, sound.outcome, sound.says)
	}
	s.most = patience*sound.took + leastPatience
	fmt.Fprintf(progress, "%d mutants of %d, seed %d; without a fault the tests take %v\n", len(all), made, o.seed,
		sound.took.Round(time.Millisecond))
	var results []result
	for i := range all {
		t, err := s.try(ctx, &all[i])
		if err != nil {
			return err
		}
		results = append(results, result{all[i], t})
		fmt.Fprintf(progress, "%d/%d %s: %s", i+1, len(all), t.outcome, all[i])
		if t.outcome == killed {
			fmt.Fprintf(progress, ": %s", t.says)
		}
		fmt.Fprintln(progress)
	}
	report(out, results)
	return nil
}

// A mutant may take that many times as long as the tests take without a fault, and
// leastPatience more.
const (
	patience      = 3
	leastPatience = time.Minute
)
