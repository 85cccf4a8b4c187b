package server

import (
	"context"
	"errors"
	"fmt"
)

// Part is one long-lived part of a program.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// RunInOrder runs all parts together. When ctx ends, or one part ends by
// itself, it stops them one after the other in the order given and waits for
// each, so that what feeds others stops first. It returns what went wrong.
func RunInOrder(ctx context.Context, parts ...Part) error {
	ended := make(chan int, len(parts))
	results := make([]error, len(parts))
	done := make([]chan struct{}, len(parts))
	stop := make([]context.CancelFunc, len(parts))
	for i, p := range parts {
		var own context.Context
		own, stop[i] = context.WithCancel(context.WithoutCancel(ctx))
		done[i] = make(chan struct{})
		go func() {
			results[i] = p.Run(own)
			close(done[i])
			ended <- i
		}()
	}
	var errs []error
	select {
	case <-ctx.Done():
	case i := <-ended:
		if results[i] == nil {
			results[i] = errors.New("ended by itself")
		}
	}
	for i, p := range parts {
		stop[i]()
		<-done[i]
		if results[i] != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Name, results[i]))
		}
	}
	return errors.Join(errs...)
}
