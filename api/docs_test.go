package api_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestExamples runs every sh block of docs/api.md and compares what it prints
// with the block that follows; … stands for anything.
func TestExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is missing: run make tools, or apt install curl")
	}
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	w := start(t)
	w.fill(meter, 20)
	w.records.push(meter, 412)
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```\n(?:```[a-z]+\n(.*?)^```\n)?").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 8 {
		t.Fatalf("only %d examples found", len(blocks))
	}
	dir := t.TempDir()
	for _, b := range blocks {
		t.Run(strings.Fields(b[1])[len(strings.Fields(b[1]))-1], func(t *testing.T) {
			cmd := exec.Command("sh", "-c", b[1])
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "YUNHE="+w.url, "KEY="+w.keys["accountant"], "no_proxy=127.0.0.1")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s\n%s%v", b[1], out, err)
			}
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(b[2])), "…", ".*") + "$"
			if !regexp.MustCompile(pattern).MatchString(strings.TrimSpace(string(out))) {
				t.Errorf("%s\nprints\n%s\ndocs/api.md says\n%s", b[1], out, b[2])
			}
		})
	}
}
