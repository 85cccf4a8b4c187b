package edge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"yunhe/edge/internal/replace"
	"yunhe/internal/evidence"
)

// definitions keeps every definition the gateway ever journalled, by hash:
// batches that wait in the journal may cite one that is no longer in force,
// and a collector that lost it asks for it by hash.
type definitions struct{ dir string }

func (d definitions) path(h evidence.Hash) string {
	return filepath.Join(d.dir, h.String()+".cbor")
}

// keep writes a definition unless it is there whole. It is durable before the
// journal's copy.
func (d definitions) keep(h evidence.Hash, data []byte) error {
	if old, err := os.ReadFile(d.path(h)); err == nil && bytes.Equal(old, data) {
		return nil
	}
	err := os.MkdirAll(d.dir, 0o700)
	if err == nil {
		err = replace.File(d.path(h), data)
	}
	if err != nil {
		return fmt.Errorf("keep definition: %w", err)
	}
	return nil
}

// find returns a definition; a damaged file counts as absent.
func (d definitions) find(h evidence.Hash) (evidence.Definition, []byte, error) {
	data, err := os.ReadFile(d.path(h))
	if errors.Is(err, fs.ErrNotExist) || err == nil && evidence.HashOf(data) != h {
		return evidence.Definition{}, nil, fmt.Errorf("find definition %s: this gateway does not have it", h)
	}
	if err != nil {
		return evidence.Definition{}, nil, fmt.Errorf("find definition: %w", err)
	}
	def, err := evidence.DecodeDefinition(data)
	return def, data, err
}
