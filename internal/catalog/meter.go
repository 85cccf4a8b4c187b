package catalog

import (
	"slices"
	"time"

	"yunhe/internal/telemetry"
)

// meter reads one meter; its key is id and channel.
func (r *reader) meter(n node, s *Site, seen map[string]int) Meter {
	f := r.object(n, "id", "channel", "quantity", "name", "sources")
	m := Meter{Channel: r.channel(f["channel"]), Name: r.name(f["name"])}
	if id, ok := r.text(f["id"], "the id of the meter"); ok {
		m.ID = id
		if err := telemetry.CheckID(id); err != nil {
			r.fault(f["id"], "%s", err)
		}
	}
	key := m.ID + " " + string(m.Channel)
	if line, taken := seen[key]; taken && m.ID != "" && m.Channel != "" {
		r.fault(f["id"], "meter %s with channel %s is already on line %d: one entry for each channel", m.ID, m.Channel, line)
	}
	seen[key] = n.line
	m.Quantity = r.quantity(f["quantity"], m.Channel)
	m.Sources = r.sources(f["sources"], s)
	return m
}

func (r *reader) quantity(n node, ch Channel) telemetry.Quantity {
	s, ok := r.text(n, "the quantity that is counted, e.g. active_energy_import")
	if !ok {
		return ""
	}
	q := telemetry.Quantity(s)
	if _, ok := telemetry.LookupQuantity(q); !ok {
		r.fault(n, "unknown quantity %q: see the list in the glossary", s)
		return ""
	}
	if fits := ch.quantities(); ch != "" && !slices.Contains(fits, q) {
		r.fault(n, "%s does not belong to channel %s: use one of %s", q, ch, words(fits))
	}
	return q
}

// sources reads the dated mapping of a meter. Ranges are half-open and must
// follow each other; a hole between them is allowed, an overlap is not.
func (r *reader) sources(n node, s *Site) []Source {
	entries := r.list(n)
	if len(entries) == 0 {
		r.fault(n, "is missing or empty: say from which date which point stands for the meter")
		return nil
	}
	var out []Source
	for i, e := range entries {
		f := r.object(e, "from", "to", "entered", "reason", "gateway", "device", "point")
		src := r.source(f, s)
		if i > 0 {
			r.follows(f["from"], src, out[i-1])
		}
		out = append(out, src)
	}
	return out
}

func (r *reader) source(f map[string]node, s *Site) Source {
	src := Source{Point: r.pointRef(f, s), Reason: r.optional(f["reason"], "why the entry reaches into the past")}
	from, okFrom := r.moment(f["from"], s.Zone, "the date from which the point stands for the meter")
	src.From = from
	if f["to"].ast != nil {
		to, ok := r.moment(f["to"], s.Zone, "the date at which this ends")
		src.To = to
		if ok && okFrom && !to.After(from) {
			r.fault(f["to"], "does not lie after from: the end is exclusive and later")
		}
	}
	entered, ok := r.moment(f["entered"], s.Zone, "the date on which this entry was written")
	if !ok {
		return src
	}
	src.Entered = midnight(entered, s.Zone)
	if okFrom && from.Before(src.Entered) && src.Reason == "" && f["reason"].ast == nil {
		r.fault(f["reason"], "is missing: the entry was written after its own from, so it changes past figures; say why")
	}
	return src
}

// follows checks that src begins where, or after, the entry before it ends.
func (r *reader) follows(n node, src, before Source) {
	switch {
	case src.From.IsZero() || before.From.IsZero():
	case before.To.IsZero():
		r.fault(n, "the entry before has no end: give it to, the date at which it was replaced")
	case src.From.Before(before.To):
		r.fault(n, "lies before the end of the entry before: list entries by date, without overlap")
	}
}

// midnight returns the start of t's day in zone, as UTC.
func midnight(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UTC()
}
