package records

import (
	"cmp"
	"context"
	"iter"
	"slices"

	contract "yunhe/internal/records"
)

// Gateways implements the contract's Reader; Keys stay empty here.
func (s *Store) Gateways(_ context.Context, scope contract.Scope) ([]contract.Gateway, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []contract.Gateway{}
	for of, g := range s.gateways {
		if scope.Allows(of.Site) {
			out = append(out, g.state)
		}
	}
	slices.SortFunc(out, func(a, b contract.Gateway) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Gateway, b.Gateway))
	})
	return out, nil
}

// Devices implements the contract's Reader.
func (s *Store) Devices(_ context.Context, scope contract.Scope) ([]contract.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []contract.Device{}
	for key, d := range s.devices {
		if scope.Allows(key.of.Site) {
			out = append(out, d.state)
		}
	}
	slices.SortFunc(out, func(a, b contract.Device) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Device, b.Device))
	})
	return out, nil
}

// Points implements the contract's Reader.
func (s *Store) Points(_ context.Context, scope contract.Scope) ([]contract.Point, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []contract.Point{}
	for key, d := range s.devices {
		if scope.Allows(key.of.Site) {
			out = append(out, d.points...)
		}
	}
	slices.SortFunc(out, func(a, b contract.Point) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Gateway, b.Gateway),
			cmp.Compare(a.Device, b.Device), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// Stream implements the contract's Reader.
func (s *Store) Stream(ctx context.Context, scope contract.Scope, after uint64) iter.Seq2[contract.StreamItem, error] {
	return s.ring.stream(ctx, scope, after)
}
