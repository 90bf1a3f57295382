package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"tensile/stress/measure"
)

// hot are the packages whose benchmarks are compared if none is named.
var hot = []string{".", "./queue", "./queue/wal", "./cluster", "./cluster/balance", "./cluster/session", "./chaos"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
}

// errWorse is returned where a figure has become worse.
var errWorse = errors.New("slower than the base")

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("gate", flag.ContinueOnError)
	flags.SetOutput(progress)
	base := flags.String("base", "HEAD~1", "the `commit` to compare with")
	bench := flags.String("bench", ".", "compare benchmarks that match this `regexp`")
	rounds := flags.Int("rounds", 12, "pairs of samples")
	span := flags.Duration("time", 500*time.Millisecond, "how long each sample of a benchmark takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < measure.LeastPairs {
		return fmt.Errorf("-rounds=%d, must be %d or more: fewer have no interval", *rounds, measure.LeastPairs)
	}
	if _, err := regexp.Compile(*bench); err != nil {
		return fmt.Errorf("-bench=%q, must be a regular expression: %w", *bench, err)
	}
	packages := flags.Args()
	if len(packages) == 0 {
		packages = hot
	}
	root, err := output(ctx, ".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	place, err := os.MkdirTemp("", "gate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(place)
	earlier := filepath.Join(place, "base")
	if _, err := output(ctx, root, "git", "worktree", "add", "--detach", earlier, *base); err != nil {
		return err
	}
	defer func() { // also after an interrupt
		_, _ = output(context.Background(), root, "git", "worktree", "remove", "--force", earlier)
	}()

	var all []figure
	for _, p := range packages {
		fmt.Fprintln(progress, p)
		sides, err := buildBoth(ctx, root, earlier, place, p)
		if err != nil {
			return err
		}
		figures, err := compare(ctx, sides, *bench, *rounds, *span)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		all = append(all, figures...)
	}
	if len(all) == 0 {
		return fmt.Errorf("-bench=%s matches no benchmark", *bench)
	}
	if worse := table(out, all); worse > 0 {
		return fmt.Errorf("%d of %d figures: %w", worse, len(all), errWorse)
	}
	return nil
}

// output is what a command prints; its error says what it complains of.
func output(ctx context.Context, folder string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = folder
	text, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(text)))
	}
	return strings.TrimSpace(string(text)), nil
}
