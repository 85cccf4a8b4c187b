package records

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/telemetry"
)

const token = "0123456789abcdef0123456789abcdef"

// fake is a Reader with fixed content; its stream ends with ctx, as promised.
type fake struct {
	gateways []Gateway
	devices  []Device
	points   []Point
	items    []StreamItem
	fail     error
}

func only[T any](list []T, s Scope, site func(T) string) []T {
	out := []T{}
	for _, v := range list {
		if s.Allows(site(v)) {
			out = append(out, v)
		}
	}
	return out
}

func (f fake) Gateways(_ context.Context, s Scope) ([]Gateway, error) {
	return only(f.gateways, s, func(g Gateway) string { return g.Site }), f.fail
}
func (f fake) Devices(_ context.Context, s Scope) ([]Device, error) {
	return only(f.devices, s, func(d Device) string { return d.Site }), f.fail
}
func (f fake) Points(_ context.Context, s Scope) ([]Point, error) {
	return only(f.points, s, func(p Point) string { return p.Site }), f.fail
}
func (f fake) Stream(ctx context.Context, s Scope, after uint64) iter.Seq2[StreamItem, error] {
	return func(yield func(StreamItem, error) bool) {
		for _, it := range only(f.items, s, func(it StreamItem) string { return it.Site }) {
			if it.Seq > after && !yield(it, nil) {
				return
			}
		}
		if f.fail != nil {
			yield(StreamItem{}, f.fail)
			return
		}
		<-ctx.Done()
	}
}

func world() fake {
	at := time.Date(2026, 11, 23, 8, 15, 0, 123e6, time.UTC)
	offset := int64(-12)
	f := fake{
		gateways: []Gateway{
			{Site: "a", Gateway: "g1", Online: true, LastSeen: at, ClockState: "S", ClockOffset: &offset, Backlog: 7,
				Version: "1.2", LastError: "bus down", LastErrorAt: at, Keys: []string{"SHA256:x"}},
			{Site: "b", Gateway: "g2", Unsigned: true},
		},
		devices: []Device{{Site: "a", Gateway: "g1", Device: "m1", Kind: "meter", Profile: "sdm630", ProfileVersion: 2,
			Vendor: "v", Model: "m", Serial: "s", Firmware: "f", Definition: "00", LastReading: at}},
		points: []Point{{Site: "a", Gateway: "g1", Device: "m1", Name: "import_total", Quantity: "active_energy_import",
			Unit: "kW.h", Class: "counter", Type: "float", Table: "input", Address: 72, RegisterType: "f32",
			WordOrder: "big", Scale: "0.001", CounterBits: 32}},
	}
	for i, site := range []string{"a", "b", "a"} {
		f.items = append(f.items, StreamItem{Seq: uint64(i + 1), Gap: i == 2, Site: site, Gateway: "g1", Device: "m1", Kind: "meter", Time: at,
			ClockFailed: i == 0, Readings: []Reading{
				{Point: "a", Value: telemetry.Float(0.1 + 0.2)},
				{Point: "b", Value: telemetry.Uint(1<<63 + 1), Quality: telemetry.Uncertain},
				{Point: "c", Value: telemetry.Bool(false)},
				{Point: "d", Value: telemetry.String("水 \"x\"")},
				{Point: "e", Quality: telemetry.Bad},
			}})
	}
	return f
}

func serve(t *testing.T, r Reader) *Client {
	t.Helper()
	h, err := NewHandler(r, token)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := NewClient(srv.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// take reads n items of a stream.
func take(t *testing.T, r Reader, s Scope, after uint64, n int) []StreamItem {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out []StreamItem
	for it, err := range r.Stream(ctx, s, after) {
		if err != nil {
			t.Fatal(err)
		}
		if out = append(out, it); len(out) == n {
			break
		}
	}
	return out
}

// TestClientEqualsReader: what a separate API sees is exactly what one in the
// same process sees.
func TestClientEqualsReader(t *testing.T) {
	direct := world()
	client := serve(t, direct)
	for name, s := range map[string]Scope{"all": {All: true}, "one": {Sites: []string{"a"}}, "none": {}, "other": {Sites: []string{"zz"}}} {
		t.Run(name, func(t *testing.T) {
			for what, ask := range map[string]func(Reader) (any, error){
				"gateways": func(r Reader) (any, error) { return r.Gateways(t.Context(), s) },
				"devices":  func(r Reader) (any, error) { return r.Devices(t.Context(), s) },
				"points":   func(r Reader) (any, error) { return r.Points(t.Context(), s) },
			} {
				want, err := ask(direct)
				if err != nil {
					t.Fatal(err)
				}
				got, err := ask(client)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s (-direct +client):\n%s", what, d)
				}
			}
			n := len(only(direct.items, s, func(it StreamItem) string { return it.Site }))
			if n == 0 {
				return
			}
			if d := cmp.Diff(take(t, direct, s, 0, n), take(t, client, s, 0, n)); d != "" {
				t.Errorf("stream (-direct +client):\n%s", d)
			}
			if d := cmp.Diff(take(t, direct, s, 1, n-1), take(t, client, s, 1, n-1)); d != "" {
				t.Errorf("resumed stream (-direct +client):\n%s", d)
			}
		})
	}
}

func TestTokenIsNeeded(t *testing.T) {
	h, err := NewHandler(world(), token)
	if err != nil {
		t.Fatal(err)
	}
	for _, auth := range []string{"", "Bearer", "Bearer ", token, "Bearer " + token + "x", "Bearer " + token[1:], "Basic " + token} {
		for _, path := range []string{pathGateways, pathStream, "/", "/nothing"} {
			q := httptest.NewRequest(http.MethodGet, path+"?all=1&after=0", nil)
			q.Header.Set("Authorization", auth)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, q)
			if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "g1") {
				t.Errorf("%q on %s: status %d", auth, path, w.Code)
			}
		}
	}
	if _, err := NewHandler(world(), "short"); err == nil {
		t.Error("a short token is accepted")
	}
	if _, err := NewClient("ftp://x", token); err == nil {
		t.Error("ftp is accepted")
	}
}

func TestFailureIsNoEmptyAnswer(t *testing.T) {
	f := world()
	f.fail = errors.New("secret detail")
	c := serve(t, f)
	if _, err := c.Gateways(t.Context(), Scope{All: true}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a failing reader gives %v", err)
	}
	var last error
	for _, err := range c.Stream(t.Context(), Scope{All: true}, 0) {
		last = err
	}
	if last == nil {
		t.Error("a failing stream ends as if it were whole")
	}
}

func TestCutListIsAnError(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"site":"a","gateway":"g1","online":true,"backlog":0}` + "\n"))
	}))
	defer srv.Close()
	c, err := NewClient(srv.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Gateways(t.Context(), Scope{All: true}); !errors.Is(err, errCut) {
		t.Errorf("a list without its last line gives %v", err)
	}
}

func TestReadingRefusesUnknownType(t *testing.T) {
	for _, text := range []string{
		`{"point":"a","type":"int","value":1,"quality":"good"}`,
		`{"point":"a","type":"uint","value":-1,"quality":"good"}`,
		`{"point":"a","type":"float","value":"x","quality":"good"}`,
		`{"point":"a","quality":"fine"}`,
	} {
		var r Reading
		if err := json.Unmarshal([]byte(text), &r); err == nil {
			t.Errorf("%s is accepted as %v", text, r)
		}
	}
}
