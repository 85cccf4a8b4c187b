package influx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/series"
	"yunhe/internal/series/influxtest"
	"yunhe/internal/telemetry"
)

const secret = "s3cr3t-token"

// fake is a server that keeps lines as InfluxDB does and refuses what refuse
// names.
type fake struct {
	mu       sync.Mutex
	stored   map[string]bool
	requests int
	refuse   func(lines []string) (status int, header map[string]string, body string)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Token "+secret {
		http.Error(w, `{"code":"unauthorized","message":"unauthorized access"}`, http.StatusUnauthorized)
		return
	}
	if r.URL.Path == "/query" {
		io.WriteString(w, `{"results":[{"statement_id":0}]}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	lines := strings.Split(string(body), "\n")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.refuse != nil {
		if status, header, text := f.refuse(lines); status != 0 {
			for k, v := range header {
				w.Header().Set(k, v)
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, text)
			return
		}
	}
	for _, l := range lines {
		f.stored[l] = true
	}
	w.WriteHeader(http.StatusNoContent)
}

func openFake(t *testing.T, f *fake) *Store {
	t.Helper()
	f.stored = map[string]bool{}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	s, err := Open(Options{URL: srv.URL, Org: "o", Bucket: "b", Token: secret, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func meterRows(n int) []series.Row {
	rows := make([]series.Row, n)
	for i := range rows {
		rows[i] = series.Row{Device: series.Device{Kind: "meter", Site: "s", Gateway: "g", ID: "d"}, Time: time.UnixMilli(int64(i)).UTC(),
			Fields: []series.Field{{Point: "a", Value: telemetry.Float(float64(i))}}}
	}
	return rows
}

// Whatever the refusal, only the bad lines are rejected and all others stored.
func TestWriteSplits(t *testing.T) {
	for _, status := range []int{400, 413, 422} {
		bad := map[int]bool{0: true, 17: true, 18: true, 700: true, 999: true}
		f := &fake{refuse: func(lines []string) (int, map[string]string, string) {
			for _, l := range lines {
				var i int
				fmt.Sscanf(l[strings.LastIndexByte(l, ' ')+1:], "%d", &i)
				if bad[i] {
					return status, nil, fmt.Sprintf(`{"code":"invalid","message":"line %d is bad"}`, i)
				}
			}
			return 0, nil, ""
		}}
		s := openFake(t, f)
		rejected, err := s.Write(t.Context(), meterRows(1000))
		if err != nil {
			t.Fatal(err)
		}
		want := []series.Rejected{}
		for _, i := range []int{0, 17, 18, 700, 999} {
			want = append(want, series.Rejected{Row: i, Reason: fmt.Sprintf("InfluxDB answered %d: line %d is bad", status, i)})
		}
		if d := cmp.Diff(want, rejected); d != "" {
			t.Errorf("%d (-want +got):\n%s", status, d)
		}
		if len(f.stored) != 995 {
			t.Errorf("%d: %d lines stored, want 995", status, len(f.stored))
		}
		if f.requests > 100 {
			t.Errorf("%d: %d requests for five bad lines", status, f.requests)
		}
	}
}

// A request refused for its size alone is stored in smaller ones.
func TestWriteTooLarge(t *testing.T) {
	f := &fake{refuse: func(lines []string) (int, map[string]string, string) {
		if len(lines) > 10 {
			return 413, nil, "too large"
		}
		return 0, nil, ""
	}}
	s := openFake(t, f)
	rejected, err := s.Write(t.Context(), meterRows(100))
	if err != nil || len(rejected) > 0 || len(f.stored) != 100 {
		t.Errorf("rejected %v, error %v, %d stored", rejected, err, len(f.stored))
	}
}

func TestWriteTryLater(t *testing.T) {
	for _, c := range []struct {
		status int
		header map[string]string
		after  time.Duration
	}{
		{429, map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{503, map[string]string{"Retry-After": "60"}, time.Minute},
		{503, map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0},
		{500, nil, 0},
		{502, nil, 0},
	} {
		s := openFake(t, &fake{refuse: func([]string) (int, map[string]string, string) {
			return c.status, c.header, `{"code":"x","message":"go away"}`
		}})
		rejected, err := s.Write(t.Context(), meterRows(3))
		var later *series.TryLaterError
		if rejected != nil || !errors.As(err, &later) || later.After != c.after || !strings.Contains(err.Error(), "go away") {
			t.Errorf("%d: rejected %v, error %v", c.status, rejected, err)
		}
	}
}

// An error in the middle of a split makes the whole Write fail.
func TestWriteFailsWhileSplitting(t *testing.T) {
	n := 0
	s := openFake(t, &fake{refuse: func(lines []string) (int, map[string]string, string) {
		if n++; n < 4 {
			return 400, nil, `{"message":"bad"}`
		}
		return 500, nil, ""
	}})
	if rejected, err := s.Write(t.Context(), append(meterRows(20), series.Row{})); err == nil || rejected != nil {
		t.Errorf("rejected %v, error %v", rejected, err)
	}
}

func TestWriteRefusedAccess(t *testing.T) {
	for status, want := range map[int]string{401: "check the token", 403: "check the token", 404: "make the bucket"} {
		s := openFake(t, &fake{refuse: func([]string) (int, map[string]string, string) { return status, nil, `{"message":"no"}` }})
		rejected, err := s.Write(t.Context(), meterRows(3))
		var later *series.TryLaterError
		if rejected != nil || err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &later) {
			t.Errorf("%d: rejected %v, error %v", status, rejected, err)
		}
	}
}

// A server that does not answer costs the timeout or the caller's deadline.
func TestWriteSilentServer(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/query" {
			io.WriteString(w, `{"results":[]}`)
			return
		}
		<-release
	}))
	defer srv.Close()
	defer close(release)
	s, err := Open(Options{URL: srv.URL, Bucket: "b", Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var later *series.TryLaterError
	if _, err := s.Write(t.Context(), meterRows(1)); !errors.As(err, &later) {
		t.Errorf("after the timeout: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Write(ctx, meterRows(1)); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &later) {
		t.Errorf("after the caller's deadline: %v", err)
	}
}

// The secret is in no error, whatever goes wrong.
func TestTokenStaysHidden(t *testing.T) {
	for _, o := range []Options{
		{URL: "http://user:" + secret + "@127.0.0.1:1", Bucket: "b"},
		{URL: "http://127.0.0.1:1?token=" + secret, Bucket: "b"},
		{URL: "http://user:" + secret + "@[::1", Bucket: "b"},
		{URL: "ftp://user:" + secret + "@127.0.0.1", Bucket: "b"},
		{URL: "http://127.0.0.1:1", Bucket: "", Token: secret},
		{URL: "http://127.0.0.1:1", Bucket: "/rp", Token: secret},
	} {
		if _, err := Open(o); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("Open: %v", err)
		}
	}
	s, err := Open(Options{URL: "http://127.0.0.1:1", Bucket: "b", Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err = s.Write(t.Context(), meterRows(1)); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Write: %v", err)
	}
	if _, err = s.Latest(t.Context(), series.Query{Site: "s"}); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Latest: %v", err)
	}
}

// A server that is killed and started again takes the same rows again, and
// they are there once.
func TestServerKilled(t *testing.T) {
	srv := influxtest.New(t)
	s := open(t, srv.URL)
	all := meterRows(100)
	if _, err := s.Write(t.Context(), all[:50]); err != nil {
		t.Fatal(err)
	}
	srv.Kill()
	var later *series.TryLaterError
	if _, err := s.Write(t.Context(), all[50:]); !errors.As(err, &later) {
		t.Fatalf("server away: %v", err)
	}
	srv.Run(t)
	if _, err := s.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Range(t.Context(), series.Query{Site: "s", From: all[0].Time, To: all[99].Time.Add(time.Second)}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 100 {
		t.Errorf("%d samples, want 100", n)
	}
}

func TestLines(t *testing.T) {
	row := series.Row{Device: series.Device{Kind: "heat_pump", Site: "s 1", Gateway: "g,=", ID: "设备", Unsigned: true}, Time: time.UnixMilli(1234).UTC(),
		Fields: []series.Field{
			{Point: "a b", Value: telemetry.Float(-0.1)},
			{Point: "n", Value: telemetry.Uint(1 << 63)},
			{Point: "t", Value: telemetry.Bool(true), Quality: telemetry.Uncertain},
			{Point: "s", Value: telemetry.String("a\"b\\c\nd")},
			{Point: "x", Quality: telemetry.Bad},
		}}
	const start = `unsigned_heat_pump,device=设备,gateway=g\,\=,site=s\ 1 `
	want := start + `a\ b=-0.1,n=9.223372036854776e+18,t=true,t_q=1i,s="a\"b\\c` + "\n" + `d",x_q=2i 1234`
	if got := string(appendLine(nil, &row, false)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	row.ClockFailed = true
	row.Fields = row.Fields[2:]
	want = start + `t=true,t_q=1i,s="a\"b\\c` + "\n" + `d",s_q=0i,x_q=2i,clock_failed=true 1234`
	if got := string(appendLine(nil, &row, true)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
