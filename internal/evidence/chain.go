package evidence

import "fmt"

// Chain checks the entries of one jid, given in order: numbers without holes,
// each Prev the Hash of the entry before, number 1 an Epoch. The first entry
// given may have any number. It does not verify signatures.
type Chain struct {
	jid, jseq uint64
	hash      Hash
}

// ChainError says where a chain of entries is broken.
type ChainError struct {
	JID, JSeq uint64 // of the entry that does not follow
	Reason    string
}

// Error gives place and reason.
func (e *ChainError) Error() string {
	return fmt.Sprintf("entry %d:%d does not follow: %s", e.JID, e.JSeq, e.Reason)
}

// Next takes the next entry; after a *ChainError the chain goes on from it.
func (c *Chain) Next(e Entry) error {
	err := c.check(&e.Content)
	c.jid, c.jseq, c.hash = e.Content.JID, e.Content.JSeq, e.Hash
	if err == "" {
		return nil
	}
	return &ChainError{e.Content.JID, e.Content.JSeq, err}
}

func (c *Chain) check(n *Content) (fault string) {
	if n.JSeq == 1 {
		if event, err := DecodeEvent(n.Data); n.Kind != KindEvent || err != nil || event.EventType() != eventEpoch {
			return "the first entry of an epoch is not its start event"
		}
	}
	switch {
	case c.jseq == 0:
		return ""
	case n.JID != c.jid:
		return fmt.Sprintf("it is of another epoch than %d", c.jid)
	case n.JSeq != c.jseq+1:
		return fmt.Sprintf("the entry before is number %d", c.jseq)
	case n.Prev != c.hash:
		return "it cites another entry before it than the one that is there"
	}
	return ""
}
