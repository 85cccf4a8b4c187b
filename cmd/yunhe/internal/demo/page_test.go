package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"yunhe/internal/browsertest"
)

// TestFirstPage opens the page as the greeting says: every device with values
// and ages, the chart drawn, the key gone from the address, nothing blocked by
// the page's own policy.
func TestFirstPage(t *testing.T) {
	r, stop := start(t, t.TempDir(), 1)
	defer stop()
	eventually(t, 30*time.Second, func() string {
		if len(r.latest()) < 50 {
			return "few live values"
		}
		return ""
	})
	page := browsertest.Open(t, r.url+"/#key="+r.key)
	if text := page.Text(t, "#chart canvas"); text != "" {
		t.Errorf("the chart says %q", text)
	}
	type seen struct {
		Devices, Empty, Ages int
		Address, Link        string
	}
	var state seen
	eventually(t, 30*time.Second, func() string {
		var err error
		state, err = chromedp.Run(page.Ctx, chromedp.Evaluate[seen](`({
			Devices: document.querySelectorAll(".device").length,
			Empty: [...document.querySelectorAll("td.number")].filter((e) => e.textContent === "–").length,
			Ages: [...document.querySelectorAll("td.age")].filter((e) => e.textContent !== "").length,
			Address: location.href,
			Link: document.getElementById("link").className,
		})`))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case state.Devices != 6:
			return "not six devices"
		case state.Empty > 0:
			return "values are missing"
		case state.Link != "live":
			return "the stream is not live"
		}
		return ""
	})
	hoverChart(t, page)
	if state.Ages < 50 {
		t.Errorf("%d values have an age", state.Ages)
	}
	if strings.Contains(state.Address, r.key) {
		t.Error("the key stays in the address bar")
	}
}

// hoverChart moves the pointer over the chart, so that it says its values: by
// means that the page's policy does not block, and nothing of it as HTML.
func hoverChart(t *testing.T, page *browsertest.Page) {
	t.Helper()
	type box struct{ X, Y float64 }
	at, err := chromedp.Run(page.Ctx, chromedp.Evaluate[box](`(() => {
		const c = document.getElementById("chart");
		c.scrollIntoView({ block: "center" });
		const r = c.getBoundingClientRect();
		return { X: r.x + r.width / 2, Y: r.y + r.height / 2 };
	})()`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := chromedp.Do(page.Ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at.X+float64(i), at.Y)); err != nil {
			t.Fatal(err)
		}
	}
	html, err := chromedp.Run(page.Ctx, chromedp.Evaluate[int](`new Promise((done) => setTimeout(() =>
		done([...document.querySelectorAll("#chart *")].filter((e) => e.tagName !== "CANVAS" && e.textContent !== "").length), 500))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if html > 0 {
		t.Errorf("%d elements of the chart's hint are HTML", html)
	}
}
