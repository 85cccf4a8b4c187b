package httpapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
)

// pagePolicy lets a page use what this server itself serves, and nothing else:
// no inline script or style, no other host, no frame around it.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

//go:embed docs
var docsFiles embed.FS

// web serves the files of a page. It lists no directories and guesses no
// types.
type web struct {
	files fs.FS
	tags  map[string]string // ETag by path
}

func newWeb(files fs.FS) (*web, error) {
	p := &web{files: files, tags: map[string]string{}}
	if files == nil {
		return p, nil
	}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		p.tags[name] = `"` + hex.EncodeToString(sum[:12]) + `"`
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read web files: %w", err)
	}
	return p, nil
}

// serve answers with the file behind name and reports whether there is one.
func (p *web) serve(w http.ResponseWriter, r *http.Request, name string) bool {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if _, ok := p.tags[name]; !ok {
		name = path.Join(name, "index.html")
	}
	tag, ok := p.tags[name]
	if !ok {
		return false
	}
	b, err := fs.ReadFile(p.files, name)
	if err != nil {
		return false
	}
	page(w.Header(), name, tag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	return true
}

func page(h http.Header, name, tag string) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Type", mediaType(name))
	h.Set("Cache-Control", "no-cache") // ask each time, answered by ETag
	h.Set("ETag", tag)
}

func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map", ".webmanifest":
		return "application/json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".txt", ".md", "":
		return "text/plain; charset=utf-8"
	default:
		return "application/octet-stream"
	}
}

// noRoute serves the pages; below /api everything unknown is a problem.
func (s *server) noRoute(p *web, w http.ResponseWriter, r *http.Request) {
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reading && r.URL.Path != "/api" && !strings.HasPrefix(r.URL.Path, "/api/") {
		if p.serve(w, r, r.URL.Path) {
			callOf(r.Context()).route = "page"
			return
		}
		if r.URL.Path == "/" && p.files == nil {
			http.Redirect(w, r, "/docs/", http.StatusFound)
			return
		}
	}
	writeProblem(w, r, &huma.ErrorModel{Status: http.StatusNotFound, Title: "Not Found", Detail: textNoPath})
}

// mountDocs serves the OpenAPI document and the page that shows it.
func (s *server) mountDocs(e *gin.Engine, doc *huma.OpenAPI) error {
	spec, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("encode openapi: %w", err)
	}
	sum := sha256.Sum256(spec)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	openapi := func(c *gin.Context) {
		callOf(c.Request.Context()).route = "/openapi.json"
		page(c.Writer.Header(), "openapi.json", tag)
		http.ServeContent(c.Writer, c.Request, "openapi.json", time.Time{}, bytes.NewReader(spec))
	}
	files, err := fs.Sub(docsFiles, "docs")
	if err != nil {
		return fmt.Errorf("open docs: %w", err)
	}
	docs, err := newWeb(files)
	if err != nil {
		return err
	}
	show := func(c *gin.Context) {
		callOf(c.Request.Context()).route = "/docs"
		if !docs.serve(c.Writer, c.Request, c.Param("file")) {
			writeProblem(c.Writer, c.Request, &huma.ErrorModel{Status: http.StatusNotFound, Title: "Not Found", Detail: textNoPath})
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		e.Handle(method, "/openapi.json", openapi)
		e.Handle(method, "/docs/*file", show)
		e.Handle(method, "/docs", func(c *gin.Context) { c.Redirect(http.StatusMovedPermanently, "docs/") })
	}
	return nil
}
