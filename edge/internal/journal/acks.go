package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
)

// The ack file is a convenience: it spares re-sending after a restart. It is
// therefore never synced; a lost or torn one fails its checksum and costs
// re-sends, which the collector recognises.
const (
	acksName  = "acks"
	acksMagic = "yunhe-acks 1"
	// ackInterval bounds how often the file is written: each time costs a
	// few flash pages.
	ackInterval = 5 * time.Minute
	maxAcksFile = 1 << 20 // bytes
)

type ackState struct {
	path  string
	dirty bool
	saved time.Time
}

// loadAcks reads the ack file, if there is a whole one.
func (j *Journal) loadAcks(path string) {
	j.acks = ackState{path: path, saved: j.opened}
	b, err := readFile(j.set.opts.FS, path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var acked, held evidence.Ranges
	if err == nil {
		acked, held, err = parseAcks(b)
	}
	if err != nil {
		j.set.opts.Logger.Warn("ack file is unreadable; entries will be sent again", "journal", j.name, "error", err)
		return
	}
	acked.Each(func(jid, lo, hi uint64) bool { j.settled.add(jid, lo, hi); return true })
	held.Each(func(jid, lo, hi uint64) bool { j.settled.add(jid, lo, hi); j.held.add(jid, lo, hi); return true })
	for jid, d := range j.losses {
		if j.settled.contains(d.jid, d.jseq) {
			delete(j.losses, jid)
		}
	}
	j.forget(0) // numbers of entries that are gone
}

// parseAcks reads "yunhe-acks 1", acked, held, checksum, a line each.
func parseAcks(b []byte) (acked, held evidence.Ranges, err error) {
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) != 5 || string(lines[0]) != acksMagic || len(lines[4]) != 0 {
		return acked, held, errors.New("not of the form of an ack file")
	}
	body := b[:len(b)-len(lines[3])-1]
	if string(lines[3]) != checksumLine(body) {
		return acked, held, errors.New("checksum does not match")
	}
	if acked, err = parseSpans(lines[1]); err != nil {
		return acked, held, err
	}
	held, err = parseSpans(lines[2])
	return acked, held, err
}

// parseSpans reads ranges of any length; several texts are joined by spaces.
func parseSpans(line []byte) (all evidence.Ranges, err error) {
	for _, text := range bytes.Fields(line) {
		r, err := evidence.ParseRanges(string(text))
		if err != nil {
			return all, err
		}
		all.Union(r)
	}
	return all, nil
}

func checksumLine(body []byte) string {
	return fmt.Sprintf("crc32c %08x", crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func formatAcks(settled, held spanSet) []byte {
	b := append([]byte(acksMagic), '\n')
	for _, ranges := range []evidence.Ranges{settled.ranges(), held.ranges()} {
		for i, part := range ranges.Split() {
			if i > 0 {
				b = append(b, ' ')
			}
			b = append(b, part.String()...)
		}
		b = append(b, '\n')
	}
	return append(b, checksumLine(b)+"\n"...)
}

// saveAcksLazily writes the file if the last time is long enough ago.
func (j *Journal) saveAcksLazily() {
	if since := j.set.opts.Now().Sub(j.acks.saved); since >= ackInterval || since < 0 {
		j.saveAcks()
	}
}

func (j *Journal) saveAcks() {
	if !j.acks.dirty {
		return
	}
	j.acks.saved = j.set.opts.Now()
	fsys, temp := j.set.opts.FS, j.acks.path+".tmp"
	b := formatAcks(j.settled, j.held)
	if len(b) > maxAcksFile { // acks with holes between them, far more than a collector sends
		j.set.opts.Logger.Warn("ack file would be too large; the last one stays, and entries would be sent again after a restart", "journal", j.name, "bytes", len(b))
		return
	}
	file, err := fsys.Open(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err == nil {
		_, err = file.WriteAt(b, 0)
		err = errors.Join(err, file.Close())
	}
	if err == nil {
		err = fsys.Rename(temp, j.acks.path)
	}
	if err != nil {
		j.set.opts.Logger.Warn("ack file cannot be written; entries would be sent again after a restart", "journal", j.name, "error", err)
		return
	}
	j.acks.dirty = false
}

func readFile(fsys seglog.FS, path string) ([]byte, error) {
	file, err := fsys.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil || size == 0 {
		return nil, err
	}
	if size > maxAcksFile {
		return nil, fmt.Errorf("%d bytes are too many", size)
	}
	b := make([]byte, size)
	_, err = file.ReadAt(b, 0)
	return b, err
}
