package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/api"
	"yunhe/internal/access"
)

// event is one server-sent event.
type event struct{ id, kind, data string }

// subscription is an open event stream.
type subscription struct {
	t      testing.TB
	events chan event // closed at the end of the stream
	close  func()
}

func (w *world) subscribe(path, person, last string) *subscription {
	w.t.Helper()
	req, _ := http.NewRequest("GET", w.url+path, nil)
	req.Header.Set("Authorization", "Bearer "+w.keys[person])
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	s := &subscription{t: w.t, events: make(chan event, 100), close: func() { resp.Body.Close() }}
	w.t.Cleanup(s.close)
	go func() {
		defer close(s.events)
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
			case "":
				if e != (event{}) {
					s.events <- e
				}
				e = event{}
			}
		}
	}()
	return s
}

// next returns the next event that is no heartbeat.
func (s *subscription) next() event {
	s.t.Helper()
	for {
		select {
		case e, open := <-s.events:
			if !open {
				s.t.Fatal("the stream ended")
			}
			if e.kind != "heartbeat" {
				return e
			}
		case <-time.After(10 * time.Second):
			s.t.Fatal("no event")
		}
	}
}

// ended waits for the end of the stream.
func (s *subscription) ended(why string) {
	s.t.Helper()
	limit := time.After(5 * time.Second) // in all: heartbeats go on coming
	for {
		select {
		case _, open := <-s.events:
			if !open {
				return
			}
		case <-limit:
			s.t.Fatal("the stream goes on after " + why)
		}
	}
}

func (w *world) waitStreams(n int64) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); w.records.open.Load() != n; {
		if time.Now().After(end) {
			w.t.Fatalf("%d streams of the records open, want %d", w.records.open.Load(), n)
		}
		time.Sleep(time.Millisecond) // real sockets: there is no event to wait for
	}
}

func TestStreamResumes(t *testing.T) {
	w := start(t)
	first := w.subscribe("/api/v1/stream?site=canal-1", "accountant", "")
	w.waitStreams(1)
	w.records.push(other, 1) // of another site
	w.records.push(meter, 2)
	got := first.next()
	want := event{"2", "readings", `{"time":"2026-11-23T07:59:58Z","age_s":2,"site":"canal-1","gateway":"gw-1","device":"meter-main","kind":"electric_meter","clock_failed":false,"unsigned":false,` +
		`"readings":[{"point":"active_power","value":2,"quality":"good"},{"point":"voltage","value":null,"quality":"bad"}]}`}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(event{})); d != "" {
		t.Error(d)
	}
	first.close()
	w.waitStreams(0)
	for i := range 3 {
		w.records.push(meter, float64(i+3)) // 3, 4, 5
	}
	again := w.subscribe("/api/v1/stream?site=canal-1", "accountant", got.id)
	for i := range 3 {
		if e := again.next(); e.id != fmt.Sprint(i+3) || e.kind != "readings" {
			t.Errorf("after resuming: %+v", e)
		}
	}
	w.records.mu.Lock()
	w.records.lost = 4
	w.records.mu.Unlock()
	late := w.subscribe("/api/v1/stream", "accountant", "2")
	if e := late.next(); e.kind != "gap" || e.id != "" || e.data != `{"before":5}` {
		t.Errorf("the gap is not told: %+v", e)
	}
	if e := late.next(); e.id != "5" {
		t.Errorf("after the gap: %+v", e)
	}
}

// TestStreamLooksTwice has the records yield rows of a site the key may not
// read: the client does not see them.
func TestStreamLooksTwice(t *testing.T) {
	w := start(t)
	w.records.leaks.Store(true)
	s := w.subscribe("/api/v1/stream", "accountant", "")
	w.waitStreams(1)
	w.records.push(other, 1)
	w.records.push(meter, 2)
	if e := s.next(); e.id != "2" || strings.Contains(e.data, other.Site) {
		t.Errorf("a key of %s was sent %+v", meter.Site, e)
	}
}

func TestStreamHeartbeatAndRevocation(t *testing.T) {
	w := start(t, func(c *api.Config) { c.Limits.Heartbeat = 20 * time.Millisecond })
	s := w.subscribe("/api/v1/stream", "accountant", "")
	beat := <-s.events
	var data struct{ Time time.Time }
	if err := json.Unmarshal([]byte(beat.data), &data); err != nil || beat.kind != "heartbeat" || beat.id != "" || !data.Time.Equal(now) {
		t.Errorf("%+v %v", beat, err)
	}
	keys, err := access.List(w.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Person == "accountant" {
			if _, err := access.Revoke(w.keyFile, k.ID, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.ended("its key was revoked")
	w.waitStreams(0)
}

func TestStreamEndsWithTheServer(t *testing.T) {
	w := start(t)
	s := w.subscribe("/api/v1/stream", "admin", "")
	w.waitStreams(1)
	begun := time.Now()
	w.stop()
	s.ended("the server was told to end")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the server took %v to end with an open stream", took)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := start(t, func(c *api.Config) { c.Limits.StreamsPerKey = 2 })
	a := w.subscribe("/api/v1/stream", "accountant", "")
	w.subscribe("/api/v1/stream", "accountant", "")
	if third := w.get("/api/v1/stream", "accountant"); third.status != 429 || !strings.Contains(third.body, "may hold 2 open") {
		t.Errorf("%d %s", third.status, third.body)
	}
	w.subscribe("/api/v1/stream", "admin", "") // another key is not concerned
	a.close()
	w.waitStreams(2)
	for end := time.Now().Add(10 * time.Second); ; { // the slot is given back just after the records' stream ends
		req, _ := http.NewRequest("GET", w.url+"/api/v1/stream", nil)
		req.Header.Set("Authorization", "Bearer "+w.keys["accountant"])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == 200 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the place of a closed stream is not given back")
		}
	}
}
