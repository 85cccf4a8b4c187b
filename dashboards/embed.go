// Package dashboards holds the pages, embedded as they are: plain HTML, CSS
// and ES modules, without a build step.
package dashboards

import (
	"embed"
	"io/fs"
)

//go:embed web
var files embed.FS

// Web returns the files of the web pages, index.html at the root.
func Web() fs.FS {
	web, err := fs.Sub(files, "web")
	if err != nil {
		panic(err) // unreachable: the folder is embedded above
	}
	return web
}
