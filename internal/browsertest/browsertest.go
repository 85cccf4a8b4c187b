// Package browsertest opens pages in Debian's Chromium for tests and gathers
// what the browser complains about: exceptions, blocked content, failed loads.
package browsertest

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

// Timeout bounds a test with a browser.
const Timeout = 90 * time.Second

// Page is an open page.
type Page struct {
	Ctx context.Context // for chromedp.Run

	mu         sync.Mutex
	complaints []string
}

// Open starts a browser and loads url; the browser ends with the test. A page
// that makes the browser complain fails the test.
func Open(t *testing.T, url string) *Page {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: run make tools, or go test -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), Timeout)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1400, 1000))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	p := &Page{Ctx: ctx}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.check(t) })
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		p.complaints = append(p.complaints, e.Entry.Text+" "+e.Entry.URL)
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, e.ExceptionDetails.Text)
	}
}

// check fails the test for every complaint. Browsers ask for a favicon by
// themselves.
func (p *Page) check(t *testing.T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		if !strings.Contains(c, "favicon.ico") {
			t.Error("the browser complains:", c)
		}
	}
}

// Text returns the text of the first element that selector names, once it is
// visible.
func (p *Page) Text(t *testing.T, selector string) string {
	t.Helper()
	if _, err := chromedp.Run(p.Ctx, chromedp.WaitVisible(selector)); err != nil {
		t.Fatalf("%s is not to be seen: %v; %v", selector, err, p.complaints)
	}
	text, err := chromedp.Run(p.Ctx, chromedp.TextContent(selector))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
