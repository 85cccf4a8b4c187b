package ingest

import (
	"context"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
)

const (
	// evictEvery is how often raw evidence past its retention is looked for.
	evictEvery = time.Minute
	// evictChunk bounds the segments deleted then, so that storing goes on.
	evictChunk = 4
)

// journalRaw is the name under which a gateway opens its journal of raw batches.
const journalRaw = "raw"

// logOf chooses the log of an entry: only a batch of an epoch whose signed
// first entry says that its journal is raw may ever be deleted.
func logOf(a *arrival) intake.Log {
	if a.entry.Content.Kind == evidence.KindBatch && a.epoch.Journal == journalRaw {
		return intake.RawLog
	}
	return intake.KeptLog
}

// evict deletes whole segments of raw evidence whose newest entry was stored
// longer than the retention ago. It runs between flushes, so what the records
// know of a segment is all that is in it. A segment is deleted before the
// records forget it: what a power cut leaves is tried again.
func (p *Pipeline) evict(ctx context.Context) {
	now := p.Now()
	if p.cfg.RawRetention <= 0 || now.Sub(p.state.evicted).Abs() < evictEvery {
		return
	}
	p.state.evicted = now
	stale, err := p.Retention.StaleRaw(ctx, now.Add(-p.cfg.RawRetention), evictChunk)
	var gone []uint64
	for _, segment := range stale {
		var ok bool
		if ok, err = p.Evidence.RemoveRaw(segment); err != nil {
			break
		}
		if ok {
			gone = append(gone, segment)
		}
	}
	if len(gone) > 0 {
		if ferr := p.Retention.ForgetRaw(ctx, gone); ferr != nil && err == nil {
			err = ferr
		}
		p.Logger.Info("raw evidence past its retention is deleted", "segments", len(gone), "retention", p.cfg.RawRetention)
	}
	if err != nil && ctx.Err() == nil {
		p.Logger.Warn("raw evidence past its retention cannot be deleted", "error", err)
	}
}
