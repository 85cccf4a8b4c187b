package seglog

import "io"

// FS is what durability needs of a file system: five operations whose
// effects are promised only after a Sync. OS is the real one; package
// crashfs holds the one that forgets at a simulated power cut.
type FS interface {
	// Open opens a file; flag is made of os.O_* bits. A file it creates has
	// mode 0600, and its name is durable only after the directory's Sync.
	Open(name string, flag int) (File, error)
	// OpenDir opens an existing directory.
	OpenDir(name string) (Dir, error)
	// Mkdir creates one directory, mode 0700, durable only after its
	// parent's Sync.
	Mkdir(name string) error
	// Rename replaces newname; both names lie in one directory, and the
	// change is durable only after that directory's Sync.
	Rename(oldname, newname string) error
	// Remove is durable only after the directory's Sync.
	Remove(name string) error
}

// File is an open file. Written bytes are durable only after Sync.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Size() (int64, error)
	Sync() error
}

// Dir is an open directory.
type Dir interface {
	// List returns the regular files in it, in any order.
	List() ([]FileInfo, error)
	// Sync makes names created, renamed and removed so far durable.
	Sync() error
	// Lock takes an exclusive lock that ends with Close or with the process.
	Lock() error
	Close() error
}

// FileInfo names a file of a directory and its size in bytes.
type FileInfo struct {
	Name string
	Size int64
}
