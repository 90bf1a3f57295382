//go:build unix

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// count is how many runs of a subject came to what, under one condition.
type count struct {
	runs, green, wrong int
}

func (c *count) add(o outcome) {
	c.runs++
	switch o {
	case green:
		c.green++
	case wrong, broken:
		c.wrong++
	}
}

// red are the runs that failed.
func (c *count) red() int { return c.runs - c.green }

// table writes for each subject and condition how many runs failed: of sound
// subjects with the share that is not exceeded, with 95 % confidence, and of slow ones
// with those that were called anything but slow.
func table(w io.Writer, conditions []condition, subjects []subject, counts map[string]*count) {
	fmt.Fprint(w, "| subject |")
	for _, c := range conditions {
		fmt.Fprintf(w, " %s |", c.name)
	}
	fmt.Fprintf(w, " all |\n| --- |%s\n", strings.Repeat(" --- |", len(conditions)+1))
	for _, s := range subjects {
		fmt.Fprintf(w, "| %s |", s.name)
		sum := count{}
		for _, c := range conditions {
			n := counts[s.name+"\x00"+c.name]
			sum.runs, sum.green, sum.wrong = sum.runs+n.runs, sum.green+n.green, sum.wrong+n.wrong
			fmt.Fprintf(w, " %s |", n.cell(s.planted != ""))
		}
		fmt.Fprintf(w, " %s |\n", sum.cell(s.planted != ""))
	}
}

func (c *count) cell(planted bool) string {
	if planted {
		text := fmt.Sprintf("caught %d of %d", c.red(), c.runs)
		if c.wrong > 0 {
			text += fmt.Sprintf(", %d misreported", c.wrong)
		}
		return text
	}
	return fmt.Sprintf("red %d of %d, below %.2g %%", c.red(), c.runs, 100*upperBound(c.red(), c.runs))
}

// upperBound is the share that k of n does not exceed with 95 % confidence, by Clopper
// and Pearson: with a greater one so few would come with less than 5 %.
func upperBound(k, n int) float64 {
	if k >= n {
		return 1
	}
	low, high := 0.0, 1.0
	for range 60 {
		p := (low + high) / 2
		if atMost(k, n, p) > 0.05 {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// atMost is the probability of k or less of n, each with probability p.
func atMost(k, n int, p float64) float64 {
	sum := 0.0
	for i := range k + 1 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(i + 1))
		c, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(a - b - c + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}
