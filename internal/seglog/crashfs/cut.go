package crashfs

import "math/rand/v2"

// pageSize is the unit in which unsynced bytes reach the disk or do not.
const pageSize = 512

// Policy says what of the unsynced changes a power cut leaves.
type Policy struct {
	Name string
	// file returns what is left of a file, names which changes of a directory
	// took place.
	file  func(f *file) []byte
	names func(op dirOp) bool
}

// Forget keeps nothing that was not synced.
func Forget() Policy {
	return Policy{
		Name:  "forget",
		file:  func(f *file) []byte { return f.durable },
		names: func(dirOp) bool { return false },
	}
}

// Kill keeps everything: the process died, the machine did not.
func Kill() Policy {
	return Policy{
		Name:  "kill",
		file:  func(f *file) []byte { return f.live },
		names: func(dirOp) bool { return true },
	}
}

// NamesOnly keeps the names and forgets the bytes.
func NamesOnly() Policy {
	p := Forget()
	p.Name, p.names = "names only", func(dirOp) bool { return true }
	return p
}

// BytesOnly keeps the bytes and forgets the names.
func BytesOnly() Policy {
	p := Kill()
	p.Name, p.names = "bytes only", func(dirOp) bool { return false }
	return p
}

// Torn keeps the unsynced writes in their order up to a random byte.
func Torn(seed uint64) Policy {
	r := rand.New(rand.NewPCG(seed, 1))
	return Policy{
		Name: "torn",
		file: func(f *file) []byte {
			b := append([]byte(nil), f.durable...)
			keep := r.IntN(len(f.pending) + 1)
			for i, op := range f.pending {
				if i == keep && op.data != nil {
					op.data = op.data[:r.IntN(len(op.data)+1)]
				}
				if i <= keep {
					b = op.applyTo(b)
				}
			}
			return b
		},
		names: func(dirOp) bool { return r.IntN(2) == 0 },
	}
}

// Shuffled keeps any of the unsynced pages, whichever came first; pages that
// did not make it hold what they held before, or zeros.
func Shuffled(seed uint64) Policy {
	r := rand.New(rand.NewPCG(seed, 2))
	return Policy{
		Name: "shuffled",
		file: func(f *file) []byte {
			b := append([]byte(nil), f.durable...)
			if r.IntN(4) > 0 { // the size is kept as a page is, or not
				b = fileOp{offset: int64(len(f.live))}.applyTo(b)
			}
			// Pages that were synced and not written since cannot change.
			touched := f.touched(len(b))
			for at := 0; at < min(len(b), len(f.live)); at += pageSize {
				if touched[at/pageSize] && r.IntN(2) == 0 {
					copy(b[at:min(at+pageSize, len(b))], f.live[at:])
				}
			}
			return b
		},
		names: func(dirOp) bool { return r.IntN(2) == 0 },
	}
}

// touched marks the pages with unsynced changes.
func (f *file) touched(size int) []bool {
	pages := make([]bool, size/pageSize+1)
	for _, op := range f.pending {
		last := op.offset + int64(len(op.data))
		if op.data == nil {
			last = int64(size)
		}
		for at := op.offset; at <= last && at/pageSize < int64(len(pages)); at += pageSize {
			pages[at/pageSize] = true
		}
		if last/pageSize < int64(len(pages)) {
			pages[last/pageSize] = true
		}
	}
	return pages
}

// Policies returns every kind of loss, the random ones with n seeds each.
func Policies(n uint64) []Policy {
	ps := []Policy{Forget(), Kill(), NamesOnly(), BytesOnly()}
	for seed := range n {
		ps = append(ps, Torn(seed), Shuffled(seed))
	}
	return ps
}

// PowerCut returns the file system as it is found after the power is back.
// The old one is not changed.
func (f *FS) PowerCut(p Policy) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	after := New()
	after.capacity = f.capacity
	after.root = p.dir(f.root, map[*file]*file{})
	return after
}

func (p Policy) dir(d *dir, seen map[*file]*file) *dir {
	names := map[string]node{}
	for name, n := range d.durable {
		names[name] = n
	}
	for _, op := range d.pending {
		if p.names(op) {
			op.applyTo(names)
		}
	}
	after := newDir()
	for name, n := range names {
		switch n := n.(type) {
		case *dir:
			after.live[name] = p.dir(n, seen)
		case *file:
			if seen[n] == nil {
				b := append([]byte(nil), p.file(n)...)
				seen[n] = &file{live: b, durable: append([]byte(nil), b...)}
			}
			after.live[name] = seen[n]
		}
		after.durable[name] = after.live[name]
	}
	return after
}

// Restart is what follows a killed process on a machine that kept running:
// locks are gone, unsynced changes are still there and still unsynced.
func (f *FS) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed, f.crashAt = false, 0
	clear(f.locked)
}
