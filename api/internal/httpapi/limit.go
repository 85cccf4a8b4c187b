package httpapi

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds the memory of a limiter, whatever callers do.
const maxBuckets = 8192

// limiter is one token bucket a name; when there are too many, the one not
// used for longest is forgotten.
type limiter struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	buckets map[string]*list.Element
	order   *list.List // of *bucket, most recent first
}

type bucket struct {
	name   string
	tokens *rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	return &limiter{perSecond: rate.Limit(perSecond), burst: burst, buckets: map[string]*list.Element{}, order: list.New()}
}

// allow takes a token of name, or says how long to wait for one.
func (l *limiter) allow(name string, now time.Time) (bool, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.buckets[name]
	if !ok {
		if l.order.Len() >= maxBuckets {
			oldest := l.order.Back()
			delete(l.buckets, l.order.Remove(oldest).(*bucket).name)
		}
		e = l.order.PushFront(&bucket{name, rate.NewLimiter(l.perSecond, l.burst)})
		l.buckets[name] = e
	}
	l.order.MoveToFront(e)
	t := e.Value.(*bucket).tokens
	if t.AllowN(now, 1) {
		return true, 0
	}
	missing := 1 - t.TokensAt(now)
	return false, time.Duration(missing / float64(l.perSecond) * float64(time.Second))
}

// slots bounds how many long answers run at once, in all and for one name.
type slots struct {
	total, each int

	mu   sync.Mutex
	used int
	by   map[string]int
}

func newSlots(total, each int) *slots {
	return &slots{total: total, each: each, by: map[string]int{}}
}

// take returns a function that gives the slot back, or false.
func (s *slots) take(name string) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= s.total || s.by[name] >= s.each {
		return nil, false
	}
	s.used++
	s.by[name]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.used--
		if s.by[name]--; s.by[name] == 0 {
			delete(s.by, name)
		}
	}), true
}
