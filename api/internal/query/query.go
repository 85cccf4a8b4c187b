// Package query reads what a caller asks for: names, times, windows and the
// form of the answer, each checked once at the door. It is pure.
package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"yunhe/internal/series"
	"yunhe/internal/telemetry"
)

// Limits bound one request. They refuse with a sentence; nothing is cut short.
type Limits struct {
	RawRange    time.Duration // longest span of single readings
	WindowRange time.Duration // longest span of windows
	Windows     int           // most windows of one point
	Names       int           // most gateways, devices or points in one filter
}

// DefaultLimits lets a year be fetched in one request.
func DefaultLimits() Limits {
	return Limits{RawRange: 400 * 24 * time.Hour, WindowRange: 12 * 366 * 24 * time.Hour, Windows: 500_000, Names: 100}
}

// Params is a request as it came.
type Params struct {
	Site                    string
	Gateway, Device, Point  []string // repeated or separated by commas
	From, To                string
	Every, Function, Format string
	Unsigned                bool
	Accept                  string
}

// Filter names what is asked about. An empty list means all.
type Filter struct {
	Site                      string
	Gateways, Devices, Points []string
	Unsigned                  bool // readings of nodes that sign nothing, instead of signed ones
}

// Readings is a checked request for readings or for windows over them.
type Readings struct {
	Filter
	From, To time.Time       // half-open, UTC, whole milliseconds
	Step     Step            // zero: single readings
	Function series.Function // empty: single readings
	Format   Format
}

// Fault is one thing that is wrong with one parameter.
type Fault struct {
	Param string
	Given string
	Text  string
}

// Faults is everything that is wrong with a request.
type Faults []Fault

// Error gives one sentence a fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Param + ": " + f.Text
	}
	return strings.Join(lines, "; ")
}

func (fs *Faults) add(param, given, format string, args ...any) {
	const shown = 80
	if len(given) > shown {
		given = strings.ToValidUTF8(given[:shown], "") + "…"
	}
	*fs = append(*fs, Fault{Param: param, Given: given, Text: fmt.Sprintf(format, args...)})
}

// ParseReadings checks a request for readings. The error is of type Faults.
func ParseReadings(p Params, lim Limits) (Readings, error) {
	var fs Faults
	r := Readings{Filter: filter(p, lim, true, &fs)}
	r.Format = format(p, &fs)
	r.From = moment("from", p.From, &fs)
	r.To = moment("to", p.To, &fs)
	window(p, &r, &fs)
	if len(fs) == 0 {
		span(p, r, lim, &fs)
	}
	if len(fs) > 0 {
		return Readings{}, fs
	}
	return r, nil
}

// ParseFilter checks the names alone; site may be left out.
func ParseFilter(p Params, lim Limits) (Filter, error) {
	var fs Faults
	f := filter(p, lim, false, &fs)
	if len(fs) > 0 {
		return Filter{}, fs
	}
	return f, nil
}

func filter(p Params, lim Limits, needSite bool, fs *Faults) Filter {
	f := Filter{Site: p.Site, Unsigned: p.Unsigned}
	if p.Site == "" && needSite {
		fs.add("site", "", "is missing: name one site, e.g. site=canal-1")
	}
	if p.Site != "" {
		if err := telemetry.CheckID(p.Site); err != nil {
			fs.add("site", p.Site, "is not an id: use 1 to 63 of a-z, 0-9 and -")
		}
	}
	device, point := telemetry.CheckID, telemetry.CheckPoint
	if p.Unsigned {
		device, point = freeName, freeName
	}
	f.Gateways = names("gateway", p.Gateway, lim.Names, device, fs)
	f.Devices = names("device", p.Device, lim.Names, device, fs)
	f.Points = names("point", p.Point, lim.Names, point, fs)
	return f
}

// freeName admits the names that other people's nodes use.
func freeName(s string) error {
	if s == "" || len(s) > series.MaxName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return errors.New("no name")
	}
	return nil
}

// names splits, checks and sorts a list of names.
func names(param string, given []string, most int, check func(string) error, fs *Faults) []string {
	var out []string
	for _, g := range given {
		for s := range strings.SplitSeq(g, ",") {
			if err := check(s); err != nil {
				fs.add(param, s, "is not a name of a %s: list names separated by commas", param)
				return nil
			}
			if out = append(out, s); len(out) > most {
				fs.add(param, "", "has more than %d names: ask for all, or in parts", most)
				return nil
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Times before 1970 or beyond the year 2200 are no times of readings; stores
// need not cope with them.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func moment(param, given string, fs *Faults) time.Time {
	if given == "" {
		fs.add(param, "", "is missing: give an RFC 3339 time, e.g. 2026-11-23T00:00:00Z")
		return time.Time{}
	}
	// A "+" in a query that was not written as %2B arrives as a space.
	t, err := time.Parse(time.RFC3339, strings.Replace(given, " ", "+", 1))
	if err != nil {
		fs.add(param, given, "is no RFC 3339 time: write 2026-11-23T00:00:00Z or 2026-11-23T08:00:00%%2B08:00")
		return time.Time{}
	}
	if t.Before(earliest) || !t.Before(latest) {
		fs.add(param, given, "lies outside 1970 to 2199")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

func window(p Params, r *Readings, fs *Faults) {
	switch {
	case p.Every == "" && p.Function == "":
		return
	case p.Every == "":
		fs.add("every", "", "is missing: a function needs windows, e.g. every=15m")
	case p.Function == "":
		fs.add("function", "", "is missing: say what to compute over each window, e.g. function=mean")
	}
	var err error
	if p.Every != "" {
		if r.Step, err = ParseStep(p.Every); err != nil {
			fs.add("every", p.Every, "%s", err)
		}
	}
	if p.Function != "" {
		if r.Function, err = series.ParseFunction(p.Function); err != nil {
			fs.add("function", p.Function, "%s", err)
		}
	}
}

// span checks how much time is asked for.
func span(p Params, r Readings, lim Limits, fs *Faults) {
	d := r.To.Sub(r.From)
	most, what := lim.RawRange, "single readings"
	if !r.Step.IsZero() {
		most, what = lim.WindowRange, "windows"
	}
	switch {
	case d <= 0:
		fs.add("to", p.To, "must lie after from: the range is half-open, from ≤ time < to")
	case d > most:
		fs.add("to", p.To, "lies %d days after from: at most %d days of %s in one request, ask in parts", int(d.Hours()/24), int(most.Hours()/24), what)
	case !r.Step.IsZero() && r.Step.Count(d) > lim.Windows:
		fs.add("every", p.Every, "makes more than %d windows: use a longer window or a shorter range", lim.Windows)
	}
}

// Series returns the query of r for the store of readings.
func (r Readings) Series() series.Query {
	q := r.Filter.Series()
	q.From, q.To = r.From, r.To
	return q
}

// Series returns the query of f without times.
func (f Filter) Series() series.Query {
	return series.Query{Site: f.Site, Gateways: f.Gateways, Devices: f.Devices, Points: f.Points, Unsigned: f.Unsigned}
}

// Windows returns the window query of r; days, months and years begin in zone.
func (r Readings) Windows(zone *time.Location) series.WindowQuery {
	w := series.WindowQuery{Query: r.Series(), Function: r.Function}
	if w.Every = r.Step.Fixed(); w.Every == 0 {
		w.Borders = r.Step.Borders(r.From, r.To, zone)
		w.From, w.To = time.Time{}, time.Time{}
	}
	return w
}
