package main

import (
	"fmt"
	"io"
)

// result is how a mutant ended.
type result struct {
	mutant
	trial
}

// report writes how many of each kind were killed, and who survived.
func report(out io.Writer, results []result) {
	fmt.Fprintln(out, "| kind | what it does | mutants | killed | of these by time | survived |")
	fmt.Fprintln(out, "| --- | --- | ---: | ---: | ---: | ---: |")
	sum := map[outcome]int{}
	for _, k := range kinds {
		n := map[outcome]int{}
		for _, r := range results {
			if r.kind == k.name {
				n[r.outcome]++
				sum[r.outcome]++
			}
		}
		if n[killed]+n[late]+n[survived] > 0 {
			row(out, k.name, k.does, n)
		}
	}
	row(out, "all", "", sum)
	fmt.Fprintf(out, "\n%d more do not compile.\n", sum[invalid])
	if sum[survived] == 0 {
		return
	}
	fmt.Fprintln(out, "\nSurvivors:")
	for _, r := range results {
		if r.outcome == survived {
			fmt.Fprintln(out, "-", r.mutant)
		}
	}
}

func row(out io.Writer, kind, does string, n map[outcome]int) {
	dead := n[killed] + n[late]
	fmt.Fprintf(out, "| %s | %s | %d | %d | %d | %d |\n", kind, does, dead+n[survived], dead, n[late], n[survived])
}
