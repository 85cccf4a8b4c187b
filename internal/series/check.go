package series

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"yunhe/internal/telemetry"
)

// Limits of what any store holds.
const (
	MaxFields = 5000      // readings in one row
	MaxName   = 255       // bytes of a site, gateway, device or point name
	MaxText   = 16 * 1024 // bytes of a text value
	MaxNames  = 5000      // names in one list of a Query
)

// QualitySuffix ends the name of the field that holds a point's quality.
const QualitySuffix = "_q"

// ClockField is the name of the field that holds Row.ClockFailed.
const ClockField = "clock_failed"

// kindPattern is the form of a device kind: it becomes a measurement name.
var kindPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// minTime and maxTime bound what a store that counts nanoseconds can hold.
var (
	minTime = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// CheckRow reports why no store can hold r. Names of signed devices are ids
// and point names of package telemetry; names of unsigned ones may be any
// printable text without a backslash.
func CheckRow(r Row) error {
	if err := CheckDevice(r.Device); err != nil {
		return err
	}
	switch {
	case r.Time.IsZero():
		return fmt.Errorf("row of %s has no time", r.Device)
	case r.Time.Before(minTime) || !r.Time.Before(maxTime):
		return fmt.Errorf("row of %s: time %s is outside the years 1678 to 2261", r.Device, r.Time.UTC().Format(time.RFC3339))
	case r.Time.Nanosecond()%int(time.Millisecond) != 0:
		return fmt.Errorf("row of %s: time %s is not in whole milliseconds", r.Device, r.Time.UTC().Format(time.RFC3339Nano))
	case len(r.Fields) == 0:
		return fmt.Errorf("row of %s at %s has no readings", r.Device, r.Time.UTC().Format(time.RFC3339Nano))
	case len(r.Fields) > MaxFields:
		return fmt.Errorf("row of %s has %d readings: the limit is %d", r.Device, len(r.Fields), MaxFields)
	}
	for i := range r.Fields {
		if err := checkField(r.Device.Unsigned, &r.Fields[i]); err != nil {
			return fmt.Errorf("row of %s: %w", r.Device, err)
		}
	}
	return checkOnce(r)
}

// checkOnce reports a point that stands in r twice.
func checkOnce(r Row) error {
	sorted := true
	for i := 1; i < len(r.Fields) && sorted; i++ {
		sorted = r.Fields[i-1].Point < r.Fields[i].Point
	}
	if sorted {
		return nil
	}
	seen := make(map[string]struct{}, len(r.Fields))
	for i := range r.Fields {
		p := r.Fields[i].Point
		if _, twice := seen[p]; twice {
			return fmt.Errorf("row of %s has point %q twice", r.Device, p)
		}
		seen[p] = struct{}{}
	}
	return nil
}

// CheckDevice reports why d cannot be stored.
func CheckDevice(d Device) error {
	if !kindPattern.MatchString(d.Kind) {
		return fmt.Errorf("device kind %q: use 1 to 63 of a-z, 0-9, _ and -, not starting with _ or -", d.Kind)
	}
	if !d.Unsigned && strings.HasPrefix(d.Kind, UnsignedPrefix) {
		return fmt.Errorf("device kind %q: %q begins the kinds of unsigned devices", d.Kind, UnsignedPrefix)
	}
	for _, n := range []struct{ what, name string }{{"site", d.Site}, {"gateway", d.Gateway}, {"device", d.ID}} {
		check := telemetry.CheckID
		if d.Unsigned {
			check = checkText
		}
		if err := check(n.name); err != nil {
			return fmt.Errorf("%s: %w", n.what, err)
		}
	}
	return nil
}

// CheckPoint reports why no store can hold a point of this name, be it signed
// or not.
func CheckPoint(name string) error { return telemetry.CheckReserved(name) }

func checkField(unsigned bool, f *Field) error {
	check := telemetry.CheckPoint
	if unsigned {
		check = checkText
	}
	if err := check(f.Point); err != nil {
		return err
	}
	if err := CheckPoint(f.Point); err != nil {
		return err
	}
	switch {
	case f.Quality > telemetry.Bad:
		return fmt.Errorf("point %q: %s", f.Point, f.Quality)
	case f.Quality == telemetry.Bad && !f.Value.IsZero():
		return fmt.Errorf("point %q: quality is bad and there is a value", f.Point)
	case f.Quality != telemetry.Bad && f.Value.IsZero():
		return fmt.Errorf("point %q: quality is %s and there is no value", f.Point, f.Quality)
	}
	if s, ok := f.Value.AsString(); ok {
		switch {
		case len(s) > MaxText:
			return fmt.Errorf("point %q: text of %d bytes: the limit is %d", f.Point, len(s), MaxText)
		case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
			return fmt.Errorf("point %q: text is not valid UTF-8 or holds a zero byte", f.Point)
		}
	}
	return nil
}

// checkText admits the names other people's nodes use: any printable text
// that line protocol can carry.
func checkText(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("%.40q… is %d bytes long: the limit is %d", s, len(s), MaxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("%q is not valid UTF-8", s)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%q holds a control character", s)
	case strings.Contains(s, `\`):
		return fmt.Errorf("%q holds a backslash, which servers do not read alike", s)
	}
	return nil
}

// Check reports what is wrong with a query for Range.
func (q Query) Check() error {
	switch {
	case q.From.IsZero() || q.To.IsZero():
		return errors.New("the query has no start or no end: give both")
	case !q.From.Before(q.To):
		return fmt.Errorf("the query ends at %s, not after its start %s",
			q.To.UTC().Format(time.RFC3339Nano), q.From.UTC().Format(time.RFC3339Nano))
	}
	return q.checkNames()
}

// CheckLatest reports what is wrong with a query for Latest.
func (q Query) CheckLatest() error {
	if !q.From.IsZero() && !q.To.IsZero() {
		return q.Check()
	}
	return q.checkNames()
}

func (q Query) checkNames() error {
	if q.Site == "" {
		return errors.New("the query names no site")
	}
	for _, l := range [][]string{{q.Site}, q.Gateways, q.Devices, q.Points} {
		if len(l) > MaxNames {
			return fmt.Errorf("the query lists %d names: the limit is %d", len(l), MaxNames)
		}
		if i := slices.IndexFunc(l, noName); i >= 0 {
			return fmt.Errorf("the query holds a name %.40q that is too long or no text", l[i])
		}
	}
	return nil
}

// noName reports whether s cannot name anything, stored or not.
func noName(s string) bool {
	return len(s) > MaxName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// Bounds returns the time range of q in milliseconds, half-open; a zero time
// is the widest bound a store can hold. A bound inside a millisecond moves to
// the next one, so that the range holds exactly the readings between.
func (q Query) Bounds() (from, to int64) {
	return bound(q.From, minTime), bound(q.To, maxTime)
}

func bound(t, otherwise time.Time) int64 {
	if t.IsZero() || (otherwise == minTime && t.Before(minTime)) || (otherwise == maxTime && t.After(maxTime)) {
		t = otherwise
	}
	return t.Add(time.Millisecond - 1).UnixMilli()
}

// Matches reports whether q selects the device d.
func (q Query) Matches(d Device) bool {
	return d.Site == q.Site && d.Unsigned == q.Unsigned &&
		(len(q.Gateways) == 0 || slices.Contains(q.Gateways, d.Gateway)) &&
		(len(q.Devices) == 0 || slices.Contains(q.Devices, d.ID))
}
