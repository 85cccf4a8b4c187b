package api_test

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestDocsInABrowser: the page shows every path under its own strict policy,
// with nothing loaded from elsewhere and nothing to complain about.
func TestDocsInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: run make tools, or go test -short")
	}
	w := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox)...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	var mu sync.Mutex
	var complaints []string
	if err := chromedp.Listen(ctx, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			complaints = append(complaints, e.Entry.Text+" "+e.Entry.URL)
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, e.ExceptionDetails.Text)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(w.url+"/docs")); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(ctx, chromedp.WaitVisible("#readings table")); err != nil {
		t.Fatal(err, complaints)
	}
	paths, err := chromedp.Run(ctx, chromedp.TextContent("#paths"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.TextContent("#readings"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/api/v1/sites", "/api/v1/readings", "/api/v1/stream", "/metrics"} {
		if !strings.Contains(paths, want) {
			t.Errorf("%s is not on the page:\n%s", want, paths)
		}
	}
	for _, want := range []string{"RFC 3339, inclusive", "Yunhe-Rows", "RFC 9530"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, c := range complaints {
		if !strings.Contains(c, "favicon.ico") { // browsers ask by themselves
			t.Error(c)
		}
	}
}
