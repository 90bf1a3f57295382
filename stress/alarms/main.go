//go:build unix

package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) == 2 && disturbances[os.Args[1]] != nil {
		disturbances[os.Args[1]]() // for as long as the parent lets it
		return
	}
	log.SetFlags(0)
	log.SetPrefix("alarms: ")
	runs := flag.Int("runs", 10, "of each subject under each condition")
	names := flag.String("conditions", "", "some of "+strings.Join(conditionNames(), ", ")+", by commas; all if empty")
	kits := flag.String("kits", "Pool,Router,Queue,Balancer,Connections,Cluster,Transport,Sessions,Chaos",
		"whose sound subjects are tried")
	slow := flag.Bool("slow", true, "try slow subjects too")
	flag.Parse()
	if *runs < 1 {
		log.Fatalf("-runs=%d: must be at least 1", *runs)
	}
	chosen, err := choose(*names)
	if err != nil {
		log.Fatal(err)
	}
	if err := measure(os.Stdout, *runs, chosen, subjects(strings.Split(*kits, ","), *slow, flag.Args())); err != nil {
		log.Fatal(err)
	}
}

// choose returns the conditions of those names.
func choose(names string) ([]condition, error) {
	if names == "" {
		return conditions, nil
	}
	var chosen []condition
	for name := range strings.SplitSeq(names, ",") {
		at := slices.Index(conditionNames(), name)
		if at < 0 {
			return nil, fmt.Errorf("-conditions=%q: %q must be one of %s", names, name, strings.Join(conditionNames(), ", "))
		}
		chosen = append(chosen, conditions[at])
	}
	return chosen, nil
}

// subject is what a test binary is run for.
type subject struct {
	name    string
	pkg     string // of the test, which is built once
	test    string
	planted string // "" for a sound one
}

// slowOnes are planted in the subjects of package stress, by the tests in which the figures
// in time are taken. Its transports are as fast as the control, its stores three times as
// fast.
var slowOnes = []struct {
	name, test string
	plants     []string
}{
	{"pool", "^TestFaultyPool$/^(burst|steady|close_all)$", []string{"slow: 2 times", "slow: 3 times", "slow: 5 times",
		"slow: 12 times", "slow: stalls", "slow: more and more"}},
	{"transport", "^TestFaultyTransport$/^(throughput|steady)$", []string{"slow: 3 times", "slow: 12 times",
		"slow: stalls"}},
	{"sessions", "^TestFaultySessions$/^(formation|throughput|steady|end)$", []string{"slow: 10 times", "slow: 40 times",
		"slow: stalls"}},
	{"cluster", "^TestFaultyCluster$/^(formation|kills)$", []string{"slow to notice"}},
}

// subjects are the sound ones of the kits, slow ones, and all tests of other packages.
func subjects(kits []string, slow bool, packages []string) (all []subject) {
	const here = "tensile/stress"
	for _, kit := range kits {
		all = append(all, subject{name: "sound, TestStress" + kit, pkg: here, test: "^TestStress" + kit + "$"})
	}
	if slow {
		for _, of := range slowOnes {
			for _, plant := range of.plants {
				all = append(all, subject{name: of.name + ", " + plant, pkg: here, test: of.test, planted: plant})
			}
		}
	}
	for _, pkg := range packages {
		all = append(all, subject{name: "sound, " + pkg, pkg: pkg, test: "."})
	}
	return all
}

// measure runs every subject under every condition, by turns: so that a machine that
// changes changes for all of them.
func measure(out *os.File, runs int, conditions []condition, subjects []subject) error {
	place, err := os.MkdirTemp("", "alarms-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(place) }()
	binaries := make(map[string]string)
	for _, s := range subjects {
		if binaries[s.pkg] != "" {
			continue
		}
		binaries[s.pkg] = filepath.Join(place, fmt.Sprintf("%d.test", len(binaries)))
		build := exec.Command("go", "test", "-c", "-o", binaries[s.pkg], s.pkg)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building the tests of %s: %w", s.pkg, err)
		}
	}
	counts := make(map[string]*count)
	began := time.Now()
	for run := range runs {
		for _, c := range conditions {
			for _, s := range subjects {
				key := s.name + "\x00" + c.name
				if counts[key] == nil {
					counts[key] = new(count)
				}
				o, err := try(c, s, binaries[s.pkg], filepath.Join(place, "out"))
				if err != nil {
					return err
				}
				counts[key].add(o)
				log.Printf("run %d, %s, %s: %s", run+1, c.name, s.name, o)
			}
		}
	}
	table(out, conditions, subjects, counts)
	fmt.Fprintf(out, "\n%d runs in %v.\n", runs*len(conditions)*len(subjects), time.Since(began).Round(time.Second))
	return nil
}
