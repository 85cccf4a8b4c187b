package catalog

import (
	"slices"
	"strings"
	"time"

	"yunhe/internal/telemetry"
)

// Parse reads and checks a catalog; name stands for the file in messages. The
// error is of type Faults and holds every fault.
func Parse(name string, b []byte) (*Catalog, error) {
	r := &reader{file: name}
	root, ok := r.parse(b)
	if !ok {
		return nil, r.faults.err()
	}
	doc := r.object(root, "sites")
	sites := r.list(doc["sites"])
	if len(sites) == 0 && len(r.faults) == 0 {
		r.fault(doc["sites"], "is missing or empty: list at least one site")
	}
	c := &Catalog{}
	seen := ids{}
	for _, n := range sites {
		c.Sites = append(c.Sites, r.site(n, seen))
	}
	if err := r.faults.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (r *reader) site(n node, seen ids) Site {
	f := r.object(n, "id", "aliases", "name", "zone", "gateways", "meters", "storages")
	s := Site{}
	s.ID, s.Aliases = r.identity(f["id"], f["aliases"], "site", seen)
	s.Name = r.name(f["name"])
	s.Zone = r.zone(f["zone"])
	gateways := ids{}
	for _, g := range r.list(f["gateways"]) {
		s.Gateways = append(s.Gateways, r.gateway(g, gateways))
	}
	meters := map[string]int{}
	for _, m := range r.list(f["meters"]) {
		s.Meters = append(s.Meters, r.meter(m, &s, meters))
	}
	storages := ids{}
	for _, st := range r.list(f["storages"]) {
		s.Storages = append(s.Storages, r.storage(st, &s, storages))
	}
	return s
}

func (r *reader) gateway(n node, seen ids) Gateway {
	f := r.object(n, "id", "aliases", "devices")
	g := Gateway{}
	g.ID, g.Aliases = r.identity(f["id"], f["aliases"], "gateway", seen)
	devices := ids{}
	for _, d := range r.list(f["devices"]) {
		df := r.object(d, "id", "aliases", "name", "placement")
		dev := Device{Name: r.name(df["name"])}
		dev.ID, dev.Aliases = r.identity(df["id"], df["aliases"], "device", devices)
		dev.Placement = r.optional(df["placement"], "where the device is, for a person who has to find it")
		g.Devices = append(g.Devices, dev)
	}
	return g
}

func (r *reader) storage(n node, s *Site, seen ids) Storage {
	f := r.object(n, "id", "name", "level", "capacity_m3")
	st := Storage{Name: r.name(f["name"])}
	st.ID, _ = r.identity(f["id"], node{}, "storage", seen)
	if f["level"].ast == nil {
		r.fault(f["level"], "is missing: give gateway, device and point of the level sensor")
	} else {
		lf := r.object(f["level"], "gateway", "device", "point")
		st.Level = r.pointRef(lf, s)
	}
	st.CapacityM3 = r.number(f["capacity_m3"], "the volume at overflow in cubic metres")
	return st
}

// ids remembers which names a scope has used and on which line.
type ids map[string]int

// identity reads an id and its former ids and refuses one that is taken.
func (r *reader) identity(id, aliases node, what string, seen ids) (string, []string) {
	own := r.id(id, what, seen)
	var former []string
	for _, a := range r.list(aliases) {
		if s := r.id(a, what, seen); s != "" {
			former = append(former, s)
		}
	}
	return own, former
}

func (r *reader) id(n node, what string, seen ids) string {
	s, ok := r.text(n, "the id of the "+what)
	if !ok {
		return ""
	}
	if err := telemetry.CheckID(s); err != nil {
		r.fault(n, "%s", err)
		return ""
	}
	if line, taken := seen[s]; taken {
		r.fault(n, "%q is already the id or a former id of the %s on line %d: ids are never used twice", s, what, line)
		return ""
	}
	seen[s] = n.line
	return s
}

func (r *reader) name(n node) Name {
	if n.ast == nil {
		r.fault(n, "is missing: give a name in both languages, {en: …, zh: …}")
		return Name{}
	}
	f := r.object(n, "en", "zh")
	en, _ := r.text(f["en"], "the English name")
	zh, _ := r.text(f["zh"], "the Chinese name")
	return Name{EN: en, ZH: zh}
}

func (r *reader) zone(n node) *time.Location {
	s, ok := r.text(n, "the IANA zone, e.g. Asia/Shanghai")
	if !ok {
		return nil
	}
	loc, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		r.fault(n, "%q is no IANA zone: write e.g. Asia/Shanghai", s)
		return nil
	}
	return loc
}

// pointRef reads gateway, device and point and checks that the site has them.
func (r *reader) pointRef(f map[string]node, s *Site) PointRef {
	var p PointRef
	var gw *Gateway
	if id, ok := r.text(f["gateway"], "the id of the gateway"); ok {
		p.Gateway = id
		if gw, ok = s.Gateway(id); !ok {
			r.fault(f["gateway"], "site %s has no gateway %q: list it under gateways, or use its present id", s.ID, id)
		}
	}
	if id, ok := r.text(f["device"], "the id of the device"); ok {
		p.Device = id
		if gw != nil {
			if _, ok = gw.Device(id); !ok {
				r.fault(f["device"], "gateway %s has no device %q: list it under devices, or use its present id", gw.ID, id)
			}
		}
	}
	if name, ok := r.text(f["point"], "the name of the point"); ok {
		p.Point = name
		if err := telemetry.CheckPoint(name); err != nil {
			r.fault(f["point"], "%s", err)
		}
	}
	return p
}

func (r *reader) channel(n node) Channel {
	s, ok := r.text(n, "what the meter counts, e.g. import")
	if !ok {
		return ""
	}
	if c := Channel(s); slices.Contains(Channels(), c) {
		return c
	}
	r.fault(n, "unknown channel %q: use one of %s", s, words(Channels()))
	return ""
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}
