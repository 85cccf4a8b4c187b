package api_test

import (
	"strings"
	"testing"

	"yunhe/internal/browsertest"
)

// TestDocsInABrowser: the page shows every path under its own strict policy,
// with nothing loaded from elsewhere and nothing to complain about.
func TestDocsInABrowser(t *testing.T) {
	page := browsertest.Open(t, start(t).url+"/docs")
	text := page.Text(t, "#readings")
	for _, want := range []string{"RFC 3339, inclusive", "Yunhe-Rows", "RFC 9530"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	paths := page.Text(t, "#paths")
	for _, want := range []string{"/api/v1/sites", "/api/v1/readings", "/api/v1/stream", "/metrics"} {
		if !strings.Contains(paths, want) {
			t.Errorf("%s is not on the page:\n%s", want, paths)
		}
	}
}
