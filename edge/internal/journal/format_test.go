package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"yunhe/internal/evidence"
	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

// documented returns the example bytes of the format document.
func documented(t *testing.T) []byte {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/formats/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(doc), "```hex\n")
	if !ok {
		t.Fatal("the document has no example")
	}
	example, _, _ = strings.Cut(example, "```")
	example = regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(example, "")
	b, err := hex.DecodeString(strings.Join(strings.Fields(example), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDocumentedExample reads the example of the document with nothing but
// what the document says, as a reader in another language would.
func TestDocumentedExample(t *testing.T) {
	b := documented(t)
	u16, u32, u64 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	crc := func(parts ...[]byte) uint32 {
		return crc32.Checksum(bytes.Join(parts, nil), crc32.MakeTable(crc32.Castagnoli))
	}
	seed := []byte("journal/raw\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	if string(b[:8]) != "YUNHELOG" || u16(b[8:]) != 1 || u16(b[10:]) != 0 || u64(b[16:]) != 1 {
		t.Errorf("segment header %x", b[:32])
	}
	if got := crc(seed, b[:28]); got != u32(b[28:]) {
		t.Errorf("segment header checksum %08x", got)
	}
	r := b[32:]
	length := u32(r[4:])
	if !bytes.Equal(r[:4], []byte{0xf7, 'Y', 'N', 'H'}) || int(length) != len(r)-16 {
		t.Fatalf("record header %x", r[:16])
	}
	if got := crc(r[16:]); got != u32(r[8:]) {
		t.Errorf("data checksum %08x", got)
	}
	if got := crc(seed, []byte{32, 0, 0, 0, 0, 0, 0, 0}, r[4:12]); got != u32(r[12:]) {
		t.Errorf("record header checksum %08x", got)
	}
	d := r[16:]
	if d[0] != 1 || d[1] != 1 || d[2] != 1 || d[3] != 7 || u64(d[4:]) != 4503599627370497 || u64(d[12:]) != 2 || u64(d[20:]) != 1772323200000 {
		t.Errorf("entry header %x", d[:28])
	}
	if string(d[60:67]) != "meter-1" || string(d[67:]) != "entry" {
		t.Errorf("device and entry %q", d[60:])
	}
}

// TestExampleIsWhatWeWrite compares the example with what the code writes.
func TestExampleIsWhatWeWrite(t *testing.T) {
	fsys := crashfs.New()
	l, _, err := seglog.Open(seglog.Options{Dir: "raw", Name: "journal/raw", FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := record{
		ref: Ref{
			JID: 4503599627370497, JSeq: 2, Device: "meter-1", Kind: evidence.KindBatch, Historical: true,
			Recorded: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		},
		hash: evidence.HashOf([]byte("entry")), entry: []byte("entry"),
	}
	b, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(b); err != nil {
		t.Fatal(err)
	}
	got, err := readFile(fsys, "raw/0000000000000001.seg")
	if err != nil {
		t.Fatal(err)
	}
	if want := documented(t); !bytes.Equal(got, want) {
		t.Errorf("the document shows\n%x\nthe code writes\n%x", want, got)
	}
}
