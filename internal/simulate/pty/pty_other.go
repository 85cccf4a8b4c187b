//go:build !linux

package pty

import (
	"errors"
	"os"
)

// Pair is a pseudo terminal.
type Pair struct {
	*os.File
	Far string
}

// Open is only there on Linux.
func Open() (*Pair, error) { return nil, errors.New("open pty: only on Linux") }
