package ingest

import (
	"context"
	"errors"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/series"
)

// Keys says who a key belongs to.
type Keys interface {
	Lookup(evidence.KeyID) (intake.Key, bool)
	// Enrolled reports whether a key was ever enrolled for the gateway.
	Enrolled(intake.Gateway) bool
}

// Evidence is where signed bytes are kept. Bytes appended are on disk once
// Commit has returned nil. RemoveRaw deletes a segment of the raw log for good;
// the one written to stays, and gone is false.
type Evidence interface {
	Append(log intake.Log, data []byte) (intake.Place, error)
	Commit() error
	ReadAt(intake.Place) ([]byte, error)
	RemoveRaw(segment uint64) (gone bool, err error)
}

// Series takes rows. An error means nothing may be assumed stored.
type Series interface {
	Write(ctx context.Context, rows []series.Row) ([]series.Rejected, error)
}

// Records notes what was stored. Commit writes the whole flush, on disk when
// it returns nil, or nothing.
type Records interface {
	Commit(context.Context, *intake.Flush) error
	Epoch(ctx context.Context, of intake.Gateway, jid uint64) (*intake.Epoch, error)
	SeenHash(ctx context.Context, epoch int64, jseq uint64) (evidence.Hash, bool, error)
	Definition(ctx context.Context, hash evidence.Hash) ([]byte, bool, error)
}

// Clocks knows boots, untimed entries, and the epochs that follow an epoch.
type Clocks interface {
	Anchor(ctx context.Context, of intake.Gateway, boot [16]byte) (intake.Anchor, bool, error)
	Untimed(ctx context.Context, limit int) ([]intake.Retime, error)
	Successor(ctx context.Context, of intake.Gateway, prev, jid uint64) (uint64, error)
}

// Retention knows how old the segments of the raw log are.
type Retention interface {
	// StaleRaw returns up to limit segments, oldest first, that got no entry
	// since a time.
	StaleRaw(ctx context.Context, since time.Time, limit int) ([]uint64, error)
	// ForgetRaw notes that segments are deleted.
	ForgetRaw(ctx context.Context, segments []uint64) error
}

// Quarantine keeps refused messages, on disk when Put returns nil; fresh is
// false for those that were there.
type Quarantine interface {
	Put(items []intake.Item) (fresh []bool, err error)
}

// The pauses between tries of a store that fails.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	maxWait    = time.Minute // the longest wait a store may ask for
)

// retry tries until fn succeeds or ctx ends, with growing pauses. It returns
// nothing but the context's error: what waits behind it stays un-acknowledged.
func (p *Pipeline) retry(ctx context.Context, what string, fn func() error) error {
	pause := firstPause
	for tries := 0; ; tries++ {
		err := fn()
		if err == nil {
			if tries > 0 {
				p.Logger.Info("works again", "what", what, "tries", tries+1)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.metrics.retries.WithLabelValues(what).Inc()
		if tries == 0 {
			p.Logger.Warn("does not work; nothing is acknowledged until it does", "what", what, "error", err)
		}
		wait := pause
		var later *series.TryLaterError
		if errors.As(err, &later) && later.After > wait {
			wait = min(later.After, maxWait)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		pause = min(2*pause, lastPause)
	}
}
