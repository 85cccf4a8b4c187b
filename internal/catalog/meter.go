package catalog

import (
	"slices"
	"time"

	"yunhe/internal/strictyaml"
	"yunhe/internal/telemetry"
)

// meter reads one meter; its key is id and channel.
func meter(n strictyaml.Node, s *Site, seen map[string]string) Meter {
	o := n.Object("id", "channel", "quantity", "name", "sources")
	m := Meter{Channel: channel(o.At("channel")), Name: name(o.At("name"))}
	if id, ok := o.At("id").Text("the id of the meter"); ok {
		m.ID = id
		if err := telemetry.CheckID(id); err != nil {
			o.At("id").Fault("%s", err)
		}
	}
	if m.ID != "" && m.Channel != "" {
		key := m.ID + " " + string(m.Channel)
		if at, taken := seen[key]; taken {
			o.At("id").Fault("meter %s with channel %s is already %s: one entry for each channel", m.ID, m.Channel, at)
		} else {
			seen[key] = n.Key()
		}
	}
	m.Quantity = quantity(o.At("quantity"), m.Channel)
	m.Sources = sources(o.At("sources"), s)
	return m
}

func quantity(n strictyaml.Node, ch Channel) telemetry.Quantity {
	s, ok := n.Text("the quantity that is counted, e.g. active_energy_import")
	if !ok {
		return ""
	}
	q := telemetry.Quantity(s)
	if _, ok := telemetry.LookupQuantity(q); !ok {
		n.Fault("unknown quantity %q: see the list in the glossary", s)
		return ""
	}
	if fits := ch.quantities(); ch != "" && !slices.Contains(fits, q) {
		n.Fault("%s does not belong to channel %s: use one of %s", q, ch, words(fits))
	}
	return q
}

// sources reads the dated mapping of a meter. Ranges are half-open and must
// follow each other; a hole between them is allowed, an overlap is not.
func sources(n strictyaml.Node, s *Site) []Source {
	entries := n.List()
	if len(entries) == 0 {
		n.Fault("is missing or empty: say from which date which point stands for the meter")
		return nil
	}
	var out []Source
	for i, e := range entries {
		o := e.Object("from", "to", "entered", "reason", "gateway", "device", "point")
		src := source(o, s)
		if i > 0 {
			follows(o.At("from"), src, out[i-1])
		}
		out = append(out, src)
	}
	return out
}

func source(o strictyaml.Object, s *Site) Source {
	src := Source{Point: pointRef(o, s)}
	o.At("reason").Into(&src.Reason, "why the entry reaches into the past")
	from, okFrom := moment(o.At("from"), s.Zone, "the date from which the point stands for the meter")
	src.From = from
	if o.At("to").Present() {
		to, ok := moment(o.At("to"), s.Zone, "the date at which this ends")
		src.To = to
		if ok && okFrom && !to.After(from) {
			o.At("to").Fault("does not lie after from: the end is exclusive and later")
		}
	}
	entered, ok := moment(o.At("entered"), s.Zone, "the date on which this entry was written")
	if !ok {
		return src
	}
	src.Entered = midnight(entered, s.Zone)
	if okFrom && from.Before(src.Entered) && src.Reason == "" {
		o.At("reason").Fault("is missing: the entry was written after its own from, so it changes past figures; say why")
	}
	return src
}

// follows checks that src begins where, or after, the entry before it ends.
func follows(n strictyaml.Node, src, before Source) {
	switch {
	case src.From.IsZero() || before.From.IsZero():
	case before.To.IsZero():
		n.Fault("the entry before has no end: give it to, the date at which it was replaced")
	case src.From.Before(before.To):
		n.Fault("lies before the end of the entry before: list entries by date, without overlap")
	}
}

// moment reads a date, meaning midnight in zone, or an RFC 3339 time.
func moment(n strictyaml.Node, zone *time.Location, purpose string) (time.Time, bool) {
	s, ok := n.Text(purpose)
	if !ok {
		return time.Time{}, false
	}
	if zone == nil {
		zone = time.UTC // the zone's own fault is already reported
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil {
		t, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		n.Fault("%q is no date: write 2026-11-23, or a time with its offset as 2026-11-23T14:30:00+08:00", s)
		return time.Time{}, false
	}
	return t.UTC(), true
}

// midnight returns the start of t's day in zone, as UTC.
func midnight(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UTC()
}
