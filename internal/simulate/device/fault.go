package device

import (
	"sync/atomic"
	"time"

	"yunhe/internal/profile"
)

// Fault changes what a device does about a query. Faults are called one at a
// time and may keep state.
type Fault func(Query, Answer) Answer

// Dead never answers.
func Dead() Fault {
	return func(_ Query, a Answer) Answer {
		a.Silent = true
		return a
	}
}

// Slow takes so much longer for each answer.
func Slow(by time.Duration) Fault {
	return func(_ Query, a Answer) Answer {
		a.Delay += by
		return a
	}
}

// Late delays the next n answers only: long enough, and they meet the
// question after theirs.
func Late(n int, by time.Duration) Fault {
	var left atomic.Int64
	left.Store(int64(n))
	return func(_ Query, a Answer) Answer {
		if left.Add(-1) >= 0 {
			a.Delay += by
		}
		return a
	}
}

// Refuse answers reads that touch an address with an exception.
func Refuse(table profile.Table, address uint16, code uint8) Fault {
	bad := profile.Range{Table: table, Address: address, Count: 1}
	return func(q Query, a Answer) Answer {
		if (profile.Range{Table: q.Table, Address: q.Address, Count: q.Count}).Overlaps(bad) {
			return Answer{Exception: code, Delay: a.Delay}
		}
		return a
	}
}

// Busy refuses the next n reads with exception 6.
func Busy(n int) Fault {
	var left atomic.Int64
	left.Store(int64(n))
	return func(_ Query, a Answer) Answer {
		if left.Add(-1) >= 0 {
			return Answer{Exception: 6, Delay: a.Delay}
		}
		return a
	}
}
