package publish

import "fmt"

// feed is one lane of a journal.
type feed struct {
	lane
	journal Journal
	place   any
	ahead   []Entry
	// until bounds the backlog of a journal that also has a live lane: its
	// entry (jid, until) was not there when the session began.
	jid, until uint64
	done       bool // the backlog has met the live lane
	dry        bool // nothing more until the journal is updated
}

// peek returns the next entry of a lane that is not in flight already.
func (f *feed) peek(w *window) (Entry, bool, error) {
	for {
		for len(f.ahead) > 0 {
			e := f.ahead[0]
			if f.until != 0 && e.JID == f.jid && e.JSeq >= f.until {
				f.ahead, f.done = nil, true // the rest is live
				break
			}
			if !w.has(number{e.JID, e.JSeq}) {
				return e, true, nil
			}
			f.ahead = f.ahead[1:]
		}
		if f.dry || f.done {
			return Entry{}, false, nil
		}
		ahead, place, err := f.journal.Pending(f.place, lookAhead)
		if err != nil {
			return Entry{}, false, fmt.Errorf("look for entries to send: %w", err)
		}
		f.ahead, f.place, f.dry = ahead, place, len(ahead) < lookAhead
		if len(ahead) == 0 {
			return Entry{}, false, nil
		}
	}
}
