package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stopped []string
		part := func(name string) Part {
			return Part{name, func(ctx context.Context) error {
				<-ctx.Done()
				stopped = append(stopped, name)
				return nil
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- RunInOrder(ctx, part("a"), part("b"), part("c")) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !slices.Equal(stopped, []string{"a", "b", "c"}) {
			t.Errorf("stopped in order %v", stopped)
		}
	})
}

func TestRunInOrderEndsWithAPart(t *testing.T) {
	fault := errors.New("disk gone")
	err := RunInOrder(t.Context(),
		Part{"a", func(ctx context.Context) error { <-ctx.Done(); return nil }},
		Part{"b", func(context.Context) error { return fault }})
	if !errors.Is(err, fault) || !strings.HasPrefix(err.Error(), "b: ") {
		t.Errorf("got %v", err)
	}
}
