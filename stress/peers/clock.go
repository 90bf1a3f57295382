package main

import (
	"sync"
	"time"
)

// perOp does work and returns the nanoseconds that one of n operations took.
func perOp(n int, work func() error) (float64, error) {
	began := time.Now()
	err := work()
	return float64(time.Since(began)) / float64(n), err
}

// perSecond does work and returns how many of n operations a second held.
func perSecond(n int, work func() error) (float64, error) {
	began := time.Now()
	err := work()
	return float64(n) / time.Since(began).Seconds(), err
}

// together runs count goroutines, each with its part of n operations, and
// returns the first error.
func together(count, n int, body func(worker, n int) error) error {
	var all sync.WaitGroup
	errs := make(chan error, count)
	for worker := range count {
		part := n / count
		if worker < n%count {
			part++
		}
		all.Go(func() { errs <- body(worker, part) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
