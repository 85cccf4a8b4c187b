package query

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestParseReadings(t *testing.T) {
	got, err := ParseReadings(Params{
		Site: "canal-1", Device: []string{"b,a", "a"}, Point: []string{"p_1"},
		From: "2026-11-01T00:00:00 08:00", To: "2026-11-02T00:00:00.1239Z", Every: "1h0m", Function: "mean", Accept: "text/csv",
	}, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := Readings{
		Filter: Filter{Site: "canal-1", Devices: []string{"a", "b"}, Points: []string{"p_1"}},
		From:   at("2026-10-31T16:00:00Z"), To: at("2026-11-02T00:00:00.123Z"),
		Step: Step{fixed: time.Hour, text: "1h"}, Function: "mean", Format: CSV,
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(Step{})); d != "" {
		t.Error(d)
	}
}

func TestUnsignedNames(t *testing.T) {
	free := Params{Site: "a", Device: []string{"Pump 1"}, Point: []string{"Flow/Rate"}}
	if _, err := ParseFilter(free, DefaultLimits()); err == nil {
		t.Error("signed names may be anything")
	}
	free.Unsigned = true
	if _, err := ParseFilter(free, DefaultLimits()); err != nil {
		t.Error(err)
	}
	free.Device = []string{"a\x00"}
	if _, err := ParseFilter(free, DefaultLimits()); err == nil {
		t.Error("control characters are taken")
	}
}

func TestSteps(t *testing.T) {
	for s, want := range map[string]string{
		"1s": "1s", "90s": "90s", "15m": "15m", "60m": "1h", "12h": "12h", "90m": "90m",
		"day": "day", "1d": "day", "month": "month", "1mo": "month", "year": "year", "1y": "year",
	} {
		if got, err := ParseStep(s); err != nil || got.String() != want {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0s", "-1h", "500ms", "1.5s", "7m", "24h", "48h", "1w", "2d", "5h", "1e3h", "days"} {
		if got, err := ParseStep(s); err == nil {
			t.Errorf("%q is taken as %v", s, got)
		}
	}
}

func TestBorders(t *testing.T) {
	for _, tc := range []struct{ name, step, zone, from, to, want string }{
		{"cut at both ends", "15m", "UTC", "2026-01-01T00:10:00Z", "2026-01-01T00:40:00Z", "01-01T00:10 01-01T00:15 01-01T00:30 01-01T00:40"},
		{"no border between", "1h", "UTC", "2026-01-01T00:10:00Z", "2026-01-01T00:40:00Z", "01-01T00:10 01-01T00:40"},
		{"days in Shanghai", "day", "Asia/Shanghai", "2026-01-01T00:00:00Z", "2026-01-02T16:00:00Z", "01-01T00:00 01-01T16:00 01-02T16:00"},
		{"23 hours", "day", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z", "03-28T23:00 03-29T22:00 03-30T22:00"},
		{"25 hours", "day", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-26T23:00:00Z", "10-24T22:00 10-25T23:00 10-26T23:00"},
		{"midnight skipped", "day", "America/Sao_Paulo", "2018-11-03T03:00:00Z", "2018-11-05T02:00:00Z", "11-03T03:00 11-04T03:00 11-05T02:00"},
		{"months", "month", "Asia/Shanghai", "2026-01-31T00:00:00Z", "2026-03-31T16:00:00Z", "01-31T00:00 01-31T16:00 02-28T16:00 03-31T16:00"},
		{"a day that never was", "day", "Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", "12-29T10:00 12-30T10:00 12-31T10:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step, err := ParseStep(tc.step)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range step.Borders(at(tc.from), at(tc.to), zone) {
				got = append(got, b.UTC().Format("01-02T15:04"))
			}
			if d := cmp.Diff(tc.want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for header, want := range map[string]Format{
		"": JSON, "*/*": JSON, "text/csv": CSV, "text/*": CSV, "application/x-ndjson": NDJSON, "application/jsonl": NDJSON,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": JSON,
		"text/csv;q=0, application/json;q=0.1":                            JSON, "text/csv;q=x, application/x-ndjson": NDJSON,
		"image/png": "", ";;;": "", "text/csv;q=0": "",
	} {
		var fs Faults
		if got := accepted(header, &fs); got != want || (want == "") != (len(fs) > 0) {
			t.Errorf("%q: %q, want %q, faults %v", header, got, want, fs)
		}
	}
}

// FuzzParseReadings: whatever a caller sends, it is refused with a sentence or
// it is a query that every store takes.
func FuzzParseReadings(f *testing.F) {
	f.Add("canal-1", "gw-1", "d", "p", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", "15m", "mean", "csv", "", false)
	f.Add("a", "", "Pump 1", "x/y", "2026-11-01T00:00:00 08:00", "2027-11-02T00:00:00Z", "day", "count", "", "text/csv, */*;q=0.1", true)
	f.Add("a", ",", "\x00", "p", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1s", "last", "json", ";q=1", false)
	f.Add("a", "b", "c", "d", "1970-01-01T00:00:00Z", "2199-12-31T23:59:59Z", "year", "sum", "", "", false)
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, site, gateway, device, point, from, to, every, function, format, accept string, unsigned bool) {
		p := Params{Site: site, Gateway: []string{gateway}, Device: []string{device}, Point: []string{point}, From: from, To: to,
			Every: every, Function: function, Format: format, Accept: accept, Unsigned: unsigned}
		r, err := ParseReadings(p, DefaultLimits())
		if err != nil {
			var fs Faults
			if !errors.As(err, &fs) || len(fs) == 0 {
				t.Fatalf("no sentence: %v", err)
			}
			for _, fault := range fs {
				if fault.Param == "" || fault.Text == "" || len(fault.Given) > 90 {
					t.Fatalf("bad fault %+v", fault)
				}
			}
			return
		}
		if r.Step.IsZero() {
			err = r.Series().Check()
		} else {
			err = r.Windows(zone).Check()
		}
		if err != nil {
			t.Fatalf("passed %+v, which a store refuses: %v", r, err)
		}
		if r.Format == "" || (r.Function == "") != r.Step.IsZero() {
			t.Fatalf("incomplete %+v", r)
		}
	})
}
