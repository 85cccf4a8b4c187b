package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"yunhe/api"
	"yunhe/internal/access"
	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// TestLists holds the answers about places to golden files.
func TestLists(t *testing.T) {
	w := start(t)
	w.fill(meter, 10)
	w.fill(other, 3)
	w.write(series.Row{Device: plain, Time: now.Add(-time.Minute), Fields: []series.Field{{Point: "Flow/Rate", Value: telemetry.Float(-1.5)}}},
		series.Row{Device: pump, Time: now.Add(time.Second), ClockFailed: true, Fields: []series.Field{
			{Point: "running", Value: telemetry.Bool(true)}, {Point: "mode", Value: telemetry.String("heat <&>"), Quality: telemetry.Uncertain}}})
	for _, tc := range []struct{ file, path, person string }{
		{"sites.json", "/api/v1/sites", "accountant"},
		{"sites_admin.json", "/api/v1/sites", "admin"},
		{"gateways.json", "/api/v1/gateways?site=canal-1", "accountant"},
		{"devices.json", "/api/v1/devices", "accountant"},
		{"points.json", "/api/v1/points?site=canal-1&device=meter-main", "accountant"},
		{"latest.json", "/api/v1/readings/latest?site=canal-1", "accountant"},
		{"latest_unsigned.json", "/api/v1/readings/latest?unsigned=true", "accountant"},
		{"session.json", "/api/v1/session", "stranger"},
		{"healthz.json", "/healthz", ""},
		{"readyz.json", "/readyz", ""},
	} {
		t.Run(tc.file, func(t *testing.T) {
			a := w.get(tc.path, tc.person)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s: %s", a.status, a.header.Get("Content-Type"), a.body)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, []byte(a.body), "", "  "); err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(`"key_id": "[a-z2-7]+"`).ReplaceAllString(b.String(), `"key_id": "…"`)
			golden(t, tc.file, got)
			if tc.person == "accountant" && strings.Contains(a.body, "canal-2") {
				t.Error("tells of another site")
			}
		})
	}
}

// TestFilters: filters leave out what was not asked for.
func TestFilters(t *testing.T) {
	w := start(t)
	w.fill(meter, 2)
	w.fill(pump, 2)
	for path, want := range map[string]int{
		"/api/v1/readings/latest":                                     4,
		"/api/v1/readings/latest?device=heat-pump":                    2,
		"/api/v1/readings/latest?device=heat-pump,meter-main":         4,
		"/api/v1/readings/latest?device=heat-pump&device=meter-main":  4,
		"/api/v1/readings/latest?device=heat-pump&point=active_power": 1,
		"/api/v1/readings/latest?gateway=gw-9":                        0,
		"/api/v1/points?gateway=gw-1&device=heat-pump":                2,
		"/api/v1/devices?gateway=gw-1":                                3,
		"/api/v1/devices?gateway=gw-9":                                0,
	} {
		body := decode[map[string]any](t, w.get(path, "accountant"))
		for _, list := range []string{"readings", "points", "devices"} {
			if l, ok := body[list].([]any); ok && len(l) != want {
				t.Errorf("%s: %d, want %d", path, len(l), want)
			}
		}
	}
}

type problemDocument struct {
	Title, Detail, Instance string
	Status                  int
	Errors                  []struct {
		Message, Location string
		Value             any
	}
}

// TestRefusals: every refusal is a problem document that says what to do.
func TestRefusals(t *testing.T) {
	w := start(t)
	const r = "/api/v1/readings?site=canal-1&from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z"
	key, k, err := access.Create(w.keyFile, access.Request{Person: "left", Role: access.Admin, AllSites: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := access.Revoke(w.keyFile, k.ID, now); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, method, path, person string
		header                     http.Header
		status                     int
		want                       string // in detail
	}{
		{"no key", "GET", "/api/v1/sites", "", nil, 401, "A valid API key is needed"},
		{"no key, bad query", "GET", "/api/v1/sites?x=1", "", nil, 401, "A valid API key is needed"},
		{"wrong key", "GET", "/api/v1/sites", "yh_aaaaaaaaaaaa_bbbb", nil, 401, "A valid API key is needed"},
		{"revoked key", "GET", "/api/v1/sites", key, nil, 401, "A valid API key is needed"},
		{"basic", "GET", "/api/v1/sites", "", http.Header{"Authorization": {"Basic eDp5"}}, 401, "A valid API key is needed"},
		{"two keys", "GET", "/api/v1/sites", "", http.Header{"Authorization": {"Bearer " + w.keys["admin"], "Bearer x"}}, 401, "A valid API key is needed"},
		{"forged session", "GET", "/api/v1/sites", "", http.Header{"Cookie": {"yunhe_session=" + k.ID + ".99999999999.AAAA"}}, 401, "A valid API key is needed"},
		{"stream without key", "GET", "/api/v1/stream", "", nil, 401, "A valid API key is needed"},
		{"readings without key", "GET", r, "", nil, 401, "A valid API key is needed"},
		{"session without key", "POST", "/api/v1/session", "", nil, 401, "A valid API key is needed"},
		{"session from elsewhere", "POST", "/api/v1/session", "admin", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "another origin"},
		{"end of session from elsewhere", "DELETE", "/api/v1/session", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "another origin"},
		{"other site", "GET", "/api/v1/gateways?site=canal-2", "accountant", nil, 404, "This key reads no site of that name"},
		{"no such site", "GET", "/api/v1/gateways?site=atlantis", "accountant", nil, 404, "This key reads no site of that name"},
		{"site of the key that is gone", "GET", "/api/v1/gateways?site=gone", "stranger", nil, 404, "This key reads no site of that name"},
		{"other site's readings", "GET", strings.Replace(r, "canal-1", "canal-2", 1), "accountant", nil, 404, "This key reads no site of that name"},
		{"other site's latest", "GET", "/api/v1/readings/latest?site=canal-2", "accountant", nil, 404, "This key reads no site of that name"},
		{"other site's stream", "GET", "/api/v1/stream?site=canal-2", "accountant", nil, 404, "This key reads no site of that name"},
		{"bad site", "GET", "/api/v1/gateways?site=A%20B", "admin", nil, 422, "site: is not an id"},
		{"unknown parameter", "GET", "/api/v1/gateways?sight=canal-1", "admin", nil, 422, "sight: unknown query parameter"},
		{"unknown parameter of readings", "GET", r + "&limit=10", "admin", nil, 422, "limit: unknown query parameter"},
		{"site given twice", "GET", r + "&site=canal-2", "admin", nil, 422, "\"site\" is given 2 times"},
		{"undecodable", "GET", "/api/v1/sites?a=%zz", "admin", nil, 422, "cannot be decoded"},
		{"nothing given", "GET", "/api/v1/readings", "admin", nil, 422, "site: is missing"},
		{"everything wrong", "GET", "/api/v1/readings?site=canal-1&from=x&to=y&every=7m&function=avg&format=xml&point=A", "admin", nil, 422, "from: is no RFC 3339 time"},
		{"ends before it starts", "GET", "/api/v1/readings?site=canal-1&from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", "admin", nil, 422, "to: must lie after from"},
		{"too long", "GET", "/api/v1/readings?site=canal-1&from=2020-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", "admin", nil, 422, "at most 400 days"},
		{"too many windows", "GET", "/api/v1/readings?site=canal-1&from=2025-11-02T00:00:00Z&to=2026-11-01T00:00:00Z&every=1s&function=mean", "admin", nil, 422, "makes more than 500000 windows"},
		{"24h", "GET", r + "&every=24h&function=mean", "admin", nil, 422, "use day, month or year"},
		{"function without windows", "GET", r + "&function=mean", "admin", nil, 422, "every: is missing"},
		{"windows without function", "GET", r + "&every=1h", "admin", nil, 422, "function: is missing"},
		{"nothing acceptable", "GET", r, "admin", http.Header{"Accept": {"image/png"}}, 406, "names no form there is"},
		{"bad event id", "GET", "/api/v1/stream", "admin", http.Header{"Last-Event-Id": {"seven"}}, 422, "Last-Event-ID is no number"},
		{"no path", "GET", "/api/v1/nothing", "admin", nil, 404, "There is nothing at this path"},
		{"no page", "GET", "/nothing.html", "", nil, 404, "There is nothing at this path"},
		{"page outside", "GET", "/../api_test.go", "", nil, 404, "There is nothing at this path"},
		{"folder of a page", "GET", "/js", "", nil, 404, "There is nothing at this path"},
		{"trailing slash", "GET", "/api/v1/sites/", "admin", nil, 404, "There is nothing at this path"},
		{"method", "PUT", "/api/v1/sites", "admin", nil, 405, "does not take PUT"},
		{"write", "POST", "/api/v1/readings", "admin", nil, 405, "does not take POST"},
		{"long query", "GET", r + "&point=" + strings.Repeat("a", 9000), "admin", nil, 414, "more than 8192 bytes"},
		{"too many names", "GET", r + "&point=" + strings.Repeat("a,", 101) + "a", "admin", nil, 422, "more than 100 names"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := w.do(tc.method, tc.path, tc.person, tc.header)
			var p problemDocument
			if err := json.Unmarshal([]byte(a.body), &p); err != nil {
				t.Fatalf("%d %q: %v", a.status, a.body, err)
			}
			if a.status != tc.status || p.Status != tc.status || !strings.Contains(p.Detail, tc.want) || p.Title == "" {
				t.Errorf("%d %+v, want %d with %q", a.status, p, tc.status, tc.want)
			}
			if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("content type %q", ct)
			}
			if id := a.header.Get("X-Request-Id"); id == "" || p.Instance != "urn:yunhe:request:"+id {
				t.Errorf("instance %q, request id %q", p.Instance, id)
			}
			if (a.status == 401) != (a.header.Get("WWW-Authenticate") != "") {
				t.Error("WWW-Authenticate goes with 401 alone")
			}
			if a.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

// TestAllFaultsAtOnce: a caller learns of every fault in one answer.
func TestAllFaultsAtOnce(t *testing.T) {
	w := start(t)
	a := w.get("/api/v1/readings?site=canal-1&from=x&every=7m&function=avg&format=xml&point=A", "admin")
	var p problemDocument
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Location)
	}
	if strings.Join(got, " ") != "query.point query.format query.from query.to query.every query.function" {
		t.Errorf("faults at %v", got)
	}
}

// TestNoHint: the answers about somebody else's site and about no site at all
// are the same, byte for byte.
func TestNoHint(t *testing.T) {
	w := start(t)
	w.fill(other, 5)
	id := regexp.MustCompile(`urn:yunhe:request:[0-9a-f]{16}`)
	for _, path := range []string{
		"/api/v1/gateways?site=", "/api/v1/devices?gateway=gw-1&site=", "/api/v1/points?site=", "/api/v1/readings/latest?site=", "/api/v1/stream?site=",
		"/api/v1/readings?from=2026-11-01T00:00:00Z&to=2026-11-24T00:00:00Z&format=csv&site=",
	} {
		theirs, none := w.get(path+"canal-2", "accountant"), w.get(path+"atlantis", "accountant")
		if theirs.status != none.status || id.ReplaceAllString(theirs.body, "") != id.ReplaceAllString(none.body, "") {
			t.Errorf("%s:\n%d %s\n%d %s", path, theirs.status, theirs.body, none.status, none.body)
		}
		for _, h := range []map[string][]string{theirs.header, none.header} {
			delete(h, "X-Request-Id")
			delete(h, "Date")
		}
		if len(theirs.header) != len(none.header) {
			t.Errorf("%s: headers differ", path)
		}
	}
}

// TestFaultsInside: what goes wrong inside is told with a fixed text, and the
// log has the cause under the same id.
func TestFaultsInside(t *testing.T) {
	w := start(t)
	w.fill(meter, 5)
	const r = "/api/v1/readings?site=canal-1&from=2026-11-01T00:00:00Z&to=2026-11-24T00:00:00Z"
	check := func(name string, a answer, status int) {
		t.Helper()
		if a.status != status || strings.Contains(a.body, "secret") || !strings.Contains(a.header.Get("Content-Type"), "problem+json") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if id := a.header.Get("X-Request-Id"); !regexp.MustCompile(`"request":"` + id + `".*secret`).MatchString(w.log.String()) {
			t.Errorf("%s: the log does not name the cause of %s", name, id)
		}
	}
	w.series.failAfter.Store(1)
	for _, format := range []string{"json", "csv", "ndjson"} {
		check("store, "+format, w.get(r+"&format="+format, "admin"), 503)
	}
	w.series.failAfter.Store(0)
	w.series.panics.Store(true)
	check("panic", w.get(r, "admin"), 500)
	w.series.panics.Store(false)
	w.records.down.Store(true)
	for _, path := range []string{"/api/v1/gateways", "/api/v1/devices", "/api/v1/points", "/api/v1/readings/latest", r} {
		check(path, w.get(path, "admin"), 503)
	}
	if a := w.get("/readyz", ""); a.status != 200 && a.status != 503 {
		t.Errorf("readyz: %d", a.status)
	}
	for _, key := range w.keys {
		if strings.Contains(w.log.String(), key) {
			t.Error("a key stands in the log")
		}
	}
}

// TestReadyz tells which part is away, and nothing else.
func TestReadyz(t *testing.T) {
	w := start(t)
	w.records.down.Store(true)
	a := w.get("/readyz", "")
	if a.status != 503 || !strings.Contains(a.body, `"records":false`) || !strings.Contains(a.body, `"series":true`) || strings.Contains(a.body, "secret") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestSafeHeaders: every answer carries them, pages with a policy of their own.
func TestSafeHeaders(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/", "/js/main.js", "/docs/", "/docs/docs.js", "/openapi.json", "/api/v1/sites", "/nothing", "/healthz", "/metrics"} {
		h := w.get(path, "admin").header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "", "Server": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
	if cc := w.get("/api/v1/sites", "admin").header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("data may be cached: %q", cc)
	}
}

// TestPages: pages are served as what they are, and answered 304 the second time.
func TestPages(t *testing.T) {
	w := start(t)
	a := w.get("/", "")
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.body, "<title>page") {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	again := w.do("GET", "/", "", http.Header{"If-None-Match": {a.header.Get("ETag")}})
	if again.status != 304 || again.body != "" {
		t.Errorf("%d %q", again.status, again.body)
	}
	if head := w.do("HEAD", "/js/main.js", "", nil); head.status != 200 || head.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
	docs := w.get("/docs/", "")
	if docs.status != 200 || strings.Contains(docs.body, "://") {
		t.Errorf("the documentation page loads from elsewhere: %d %s", docs.status, docs.body)
	}
	if js := w.get("/docs/docs.js", ""); js.status != 200 || strings.Contains(js.body, "://") || strings.Contains(js.body, "innerHTML") {
		t.Error("docs.js is not there, loads from elsewhere, or sets markup")
	}
	bare := start(t, func(c *api.Config) { c.Web = nil })
	if a := bare.get("/", ""); a.status != 302 || a.header.Get("Location") != "/docs/" {
		t.Errorf("without pages: %d %v", a.status, a.header)
	}
}

// TestMetrics: this machine sees them, others need a key of role admin, and a
// proxy on this machine does not count as this machine.
func TestMetrics(t *testing.T) {
	w := start(t)
	w.get("/api/v1/sites", "admin")
	proxied := http.Header{"X-Forwarded-For": {"203.0.113.9"}}
	for _, tc := range []struct {
		person string
		header http.Header
		status int
	}{{"", nil, 200}, {"", proxied, 401}, {"accountant", proxied, 401}, {"admin", proxied, 200}} {
		a := w.do("GET", "/metrics", tc.person, tc.header)
		if a.status != tc.status {
			t.Errorf("%q %v: %d", tc.person, tc.header, a.status)
		}
		if a.status == 200 && !strings.Contains(a.body, `yunhe_api_requests_total{method="GET",path="/api/v1/sites",status="2xx"} 1`) {
			t.Errorf("not counted:\n%s", a.body)
		}
	}
}

// TestConfigFaults: every missing part is named at once.
func TestConfigFaults(t *testing.T) {
	_, err := api.New(api.Config{})
	for _, part := range []string{"catalog", "access", "series", "records", "metrics", "logger", "clock", "version"} {
		if err == nil || !strings.Contains(err.Error(), part+" is missing") {
			t.Errorf("%s: %v", part, err)
		}
	}
}
