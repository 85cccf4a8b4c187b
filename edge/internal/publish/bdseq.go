package publish

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"yunhe/edge/internal/replace"
	"yunhe/internal/sparkplug"
)

// nextBdSeq returns the bdSeq of the next CONNECT and writes it down before
// it is used: one that is spent twice would let an old will end a new session.
// The very first is 0 (tck-id-topics-nbirth-bdseq-increment).
//
// A disk that is full or broken is no reason to be silent: acknowledgements
// are what makes room on it. The number then goes on in memory, and the error
// tells that a restart may repeat it.
func (p *Publisher) nextBdSeq() (uint64, error) {
	var next uint64
	text, err := os.ReadFile(p.cfg.BdSeqFile)
	switch {
	case p.bdSeq != nil:
		next, err = sparkplug.NextBdSeq(*p.bdSeq), nil
	case errors.Is(err, os.ErrNotExist):
		err = nil
	case err == nil:
		// A damaged file costs the order of two sessions, no data: begin anew.
		if last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 8); err == nil {
			next = sparkplug.NextBdSeq(last)
		}
	}
	p.bdSeq = &next
	err = errors.Join(err, replace.File(p.cfg.BdSeqFile, []byte(strconv.FormatUint(next, 10)+"\n")))
	if err != nil {
		return next, fmt.Errorf("write down bdSeq %d: %w", next, err)
	}
	return next, nil
}
