package seglog_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yunhe/internal/seglog"
	"yunhe/internal/seglog/crashfs"
)

// damageSites are the functions whose syncs TestDamageCopyIsDurable covers.
var damageSites = []string{"writeCopy", "writeCopy"}

// countSyncs counts the calls of Sync in the source of the package, so that
// a new one cannot escape the tests.
func countSyncs(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "fs_os.go" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sync" {
					n++
				}
			}
			return true
		})
	}
	return n
}

// TestDamageCopyIsDurable cuts the power once Open has reported a copy: the
// copy is there, whole. Without either of its syncs it is not.
func TestDamageCopyIsDurable(t *testing.T) {
	// run damages a log, opens it, and reports whether the copy survives.
	run := func(ignore string) bool {
		fsys := crashfs.New()
		opts := seglog.Options{Dir: testDir, Name: "test", FS: fsys}
		l, _, err := seglog.Open(opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"one", "two", "three"} {
			if _, err := l.Append([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		l.Close()
		f, err := fsys.Open(testDir+"/0000000000000001.seg", os.O_RDWR)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt([]byte("!"), 32+16) // the first byte of "one"
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		calls := 0
		fsys.IgnoreSync(func(site string) bool {
			if !strings.Contains(site, "writeCopy") {
				return false
			}
			calls++
			return ignore == "file" && calls == 1 || ignore == "directory" && calls == 2
		})
		l, report, err := seglog.Open(opts)
		if err != nil || len(report.Damage) != 1 || !report.Damage[0].New {
			t.Fatalf("open: %v, %+v", err, report)
		}
		l.Close()
		after := fsys.PowerCut(crashfs.Forget())
		c, err := after.Open(testDir+"/"+report.Damage[0].SetAside, os.O_RDONLY)
		if err != nil {
			return false
		}
		size, _ := c.Size()
		return size == report.Damage[0].Length
	}
	if !run("") {
		t.Error("the copy did not survive the power cut")
	}
	for _, ignore := range []string{"file", "directory"} {
		if run(ignore) {
			t.Errorf("the copy survives without the sync of its %s: the test proves nothing", ignore)
		}
	}
}
