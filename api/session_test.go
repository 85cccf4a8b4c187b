package api_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"yunhe/api"
	"yunhe/internal/access"
)

func TestSession(t *testing.T) {
	var ahead atomic.Int64
	w := start(t, func(c *api.Config) { c.Clock = func() time.Time { return now.Add(time.Duration(ahead.Load())) } })
	a := w.do("POST", "/api/v1/session", "accountant", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if a.status != 200 || !strings.Contains(a.body, `"expires":"2026-11-23T20:00:00Z"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	cookie := a.header.Get("Set-Cookie")
	for _, part := range []string{"yunhe_session=", "HttpOnly", "SameSite=Strict", "Path=/", "Expires=Mon, 23 Nov 2026 20:00:00 GMT"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("%s misses %s", cookie, part)
		}
	}
	if strings.Contains(cookie, w.keys["accountant"]) || strings.Contains(cookie, "Secure") {
		t.Errorf("cookie %s", cookie)
	}
	value, _, _ := strings.Cut(cookie, ";")
	with := http.Header{"Cookie": {value}}
	if a := w.do("GET", "/api/v1/sites", "", with); a.status != 200 || strings.Contains(a.body, "canal-2") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := w.do("GET", "/api/v1/sites", "yh_x_y", with); a.status != 401 {
		t.Errorf("a wrong key beside a session: %d", a.status)
	}
	if a := w.do("POST", "/api/v1/session", "", with); a.status != 401 {
		t.Errorf("a session prolonged itself: %d", a.status)
	}
	forged := http.Header{"Cookie": {strings.Replace(value, ".", ".9", 1)}}
	if a := w.do("GET", "/api/v1/sites", "", forged); a.status != 401 {
		t.Errorf("a session with a later end: %d", a.status)
	}
	if a := w.do("DELETE", "/api/v1/session", "", with); a.status != 204 || !strings.Contains(a.header.Get("Set-Cookie"), "Expires=Thu, 01 Jan 1970") {
		t.Errorf("%d %v", a.status, a.header)
	}
	ahead.Store(int64(12 * time.Hour))
	if a := w.do("GET", "/api/v1/sites", "", with); a.status != 401 {
		t.Errorf("a session outlived its end: %d", a.status)
	}
	ahead.Store(0)
	keys, _ := access.List(w.keyFile)
	for _, k := range keys {
		if _, err := access.Revoke(w.keyFile, k.ID, now); err != nil {
			t.Fatal(err)
		}
	}
	if a := w.do("GET", "/api/v1/sites", "", with); a.status != 401 {
		t.Errorf("a session outlived its key: %d", a.status)
	}
}

func TestSecureCookie(t *testing.T) {
	w := start(t, func(c *api.Config) { c.SecureCookie = true })
	if a := w.do("POST", "/api/v1/session", "admin", nil); !strings.Contains(a.header.Get("Set-Cookie"), "Secure") {
		t.Errorf("%v", a.header)
	}
}

func TestRateLimits(t *testing.T) {
	limits := api.Limits{AddressPerSecond: 0.001, AddressBurst: 10, KeyPerSecond: 0.5, KeyBurst: 3}
	w := start(t, func(c *api.Config) { c.Limits = limits })
	var got []int
	for range 4 {
		got = append(got, w.get("/api/v1/sites", "accountant").status)
	}
	a := w.get("/api/v1/sites", "accountant")
	if got[2] != 200 || got[3] != 429 || a.header.Get("Retry-After") != "3" || !strings.Contains(a.body, "from this key: wait 3 s") {
		t.Errorf("%v %v %s", got, a.header, a.body)
	}
	if a := w.get("/api/v1/sites", "admin"); a.status != 200 {
		t.Errorf("another key is limited too: %d", a.status)
	}
	for range 5 {
		a = w.get("/api/v1/sites", "yh_wrong")
	}
	if a.status != 429 || !strings.Contains(a.body, "from this address") {
		t.Errorf("the address is not limited: %d %s", a.status, a.body)
	}
}

// TestHeaderSize: the server itself refuses heads that are too long.
func TestHeaderSize(t *testing.T) {
	w := start(t)
	a := w.do("GET", "/healthz", "", http.Header{"X-Long": {strings.Repeat("a", 64<<10)}})
	if a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d", a.status)
	}
}

// TestBodySize: no request needs a body, and none is read for long.
func TestBodySize(t *testing.T) {
	w := start(t)
	req, _ := http.NewRequest("POST", w.url+"/api/v1/session", strings.NewReader(strings.Repeat("a", 1<<20)))
	req.Header.Set("Authorization", "Bearer "+w.keys["admin"])
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return // the server closed the connection: as good
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", resp.StatusCode)
	}
}
