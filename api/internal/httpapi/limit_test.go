package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(1, 2)
	now := time.Unix(1e9, 0)
	for i := range 3 * maxBuckets {
		if ok, _ := l.allow(fmt.Sprint(i), now); !ok {
			t.Fatal("a first request was refused")
		}
		l.allow("steady", now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(l.buckets) != maxBuckets || l.order.Len() != maxBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
	if _, kept := l.buckets["steady"]; !kept {
		t.Error("the busiest caller was forgotten")
	}
}

func TestLimiterRefills(t *testing.T) {
	l := newLimiter(2, 1)
	now := time.Unix(1e9, 0)
	l.allow("a", now)
	ok, wait := l.allow("a", now)
	if ok || wait != 500*time.Millisecond {
		t.Errorf("%v %v", ok, wait)
	}
	if ok, _ := l.allow("a", now.Add(wait)); !ok {
		t.Error("still refused after the wait it named")
	}
}

func TestSlots(t *testing.T) {
	s := newSlots(3, 2)
	a1, _ := s.take("a")
	s.take("a")
	if _, ok := s.take("a"); ok {
		t.Error("a took three")
	}
	s.take("b")
	if _, ok := s.take("c"); ok {
		t.Error("four in all")
	}
	a1()
	a1()
	if _, ok := s.take("c"); !ok || s.used != 3 {
		t.Errorf("a place given back twice, or not at all: %d", s.used)
	}
}

func TestAddressGroup(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[fe80::1%eth0]:80": "fe80::/64", "@": "unknown", "": "unknown",
	} {
		if got := addressGroup(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

func TestFromLoopback(t *testing.T) {
	for remote, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "192.0.2.1:1": false, "@": false} {
		if got := fromLoopback(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %v", remote, got)
		}
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if fromLoopback(&http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{h: {"x"}}}) {
			t.Errorf("%s is taken for this machine", h)
		}
	}
}

func FuzzSession(f *testing.F) {
	s := newSessions()
	now := time.Unix(1e9, 0)
	f.Add(s.seal("abc", now.Add(time.Hour)))
	f.Add("a.b.c")
	f.Add(".")
	f.Fuzz(func(t *testing.T, value string) {
		if id, end, ok := s.open(value, now); ok && s.seal(id, end) != value {
			t.Errorf("accepted %q, which was never given out", value)
		}
	})
}
