package bus

import "time"

// backoff bounds how long something that fails is left alone.
type backoff struct {
	base, max time.Duration
	// share is the part of all time that failed attempts may take once the
	// breaker is open: after a failed probe of cost c the next is at least
	// share*c away. 0 means no such bound.
	share int
}

// deviceBackoff: 2 s to 5 min, and probes take at most a twentieth of the time.
// linkBackoff is shorter, because all devices of the line wait for it.
func deviceBackoff() backoff { return backoff{base: 2 * time.Second, max: 5 * time.Minute, share: 19} }
func linkBackoff() backoff   { return backoff{base: time.Second, max: 30 * time.Second} }

// breaker remembers that something failed and when to try again. It opens at
// the first failure, which is already the last of a request's retries, so that
// the rest of a poll cycle fails at once instead of waiting block by block.
type breaker struct {
	backoff
	failures int       // in a row; 0 means closed
	since    time.Time // of the first of them
	until    time.Time // no attempt before
	cause    error     // of the last failure
}

func (b *breaker) open() bool { return b.failures > 0 }

// blocked reports whether an attempt at now would come too early.
func (b *breaker) blocked(now time.Time) bool { return b.open() && now.Before(b.until) }

// refusal says why nothing is sent; kind is ErrBackoff or ErrLinkDown.
func (b *breaker) refusal(kind error, now time.Time) error {
	return &backoffError{kind: kind, until: b.until.Sub(now), cause: b.cause}
}

// fail notes an attempt that took cost and ended at now. jitter is in [0, 1)
// and spreads the next attempts of many devices and gateways by ±25 %.
// It reports whether the breaker was closed before.
func (b *breaker) fail(now time.Time, cost time.Duration, jitter float64, cause error) bool {
	wait := b.max
	if shift := min(b.failures, 20); b.base<<shift < b.max {
		wait = b.base << shift
	}
	wait = time.Duration(float64(wait) * (0.75 + jitter/2))
	if b.open() {
		wait = max(wait, time.Duration(b.share)*cost)
	} else {
		b.since = now
	}
	b.failures++
	b.until = now.Add(wait)
	b.cause = cause
	return b.failures == 1
}

// succeed closes the breaker and reports whether it was open.
func (b *breaker) succeed() bool {
	was := b.open()
	*b = breaker{backoff: b.backoff}
	return was
}
