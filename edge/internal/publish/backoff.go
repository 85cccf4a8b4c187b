package publish

import "time"

// backoff spaces the attempts to connect: doubling from a second to two
// minutes, each between half and the whole of it, so that a fleet that lost
// its broker does not come back in step.
type backoff struct {
	random func() float64 // in [0, 1)
	tries  int
}

const (
	firstPause  = time.Second
	longest     = 2 * time.Minute
	goodSession = time.Minute // a session of that length starts over
)

// next returns the pause before the next attempt.
func (b *backoff) next() time.Duration {
	d := min(longest, firstPause<<min(b.tries, 16))
	b.tries++
	return d/2 + time.Duration(b.random()*float64(d/2))
}

func (b *backoff) reset() { b.tries = 0 }
