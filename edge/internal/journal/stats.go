package journal

// Number names one entry.
type Number struct{ JID, JSeq uint64 }

// Stats is the state of a journal, for Evidence/Next Seq, Evidence/Oldest
// Unacked and the status page.
type Stats struct {
	// Next is the number of the next entry.
	Next Number
	// Oldest is, for each jid with entries that are pending or not durable yet,
	// the first of them; holes
	// above it are on their way, holes below it are not coming.
	Oldest  []Number
	Entries uint64 // in the journal
	Pending uint64 // neither acked nor held
	Held    uint64
	Waiting int    // signed and not durable
	Dropped uint64 // lost since start: to the size limit, or found damaged
	Bytes   int64  // on disk, preallocated segment included
	// PendingBytes is what the segments with pending entries take.
	PendingBytes int64
}

// Stats returns the state of the journal.
func (j *Journal) Stats() Stats {
	j.set.mu.Lock()
	defer j.set.mu.Unlock()
	st := Stats{
		Next: Number{j.jid, j.next}, Waiting: len(j.waiting), Dropped: j.dropped, Bytes: j.log.Bytes(),
	}
	size := map[uint64]int64{}
	for _, info := range j.log.Segments() {
		size[info.ID] = info.Bytes
	}
	oldest := map[uint64]int{}
	for _, s := range j.segments {
		pending := j.unsettled(s)
		st.Pending += pending
		if pending > 0 {
			st.PendingBytes += size[s.id]
		}
		for _, r := range s.runs {
			st.Entries += r.hi - r.lo + 1
			st.Held += j.held.count(r.jid, r.lo, r.hi)
			n, ok := j.settled.firstMissing(r.jid, r.lo, r.hi)
			if !ok {
				continue
			}
			if i, seen := oldest[r.jid]; seen {
				st.Oldest[i].JSeq = min(st.Oldest[i].JSeq, n)
				continue
			}
			oldest[r.jid] = len(st.Oldest)
			st.Oldest = append(st.Oldest, Number{r.jid, n})
		}
	}
	// What is signed and waits for the disk has its number, and waits to be
	// sent: whoever compares Next with what arrived must not take it for lost.
	if _, seen := oldest[j.jid]; !seen && len(j.waiting) > 0 {
		st.Oldest = append(st.Oldest, Number{j.jid, j.waiting[0].ref.JSeq})
	}
	return st
}
