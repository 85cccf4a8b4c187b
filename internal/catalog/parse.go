package catalog

import (
	"slices"
	"strings"
	"time"

	"yunhe/internal/strictyaml"
	"yunhe/internal/telemetry"
)

// Parse reads and checks a catalog; name stands for the file in messages. The
// error is of type strictyaml.Faults and holds every fault.
func Parse(name string, b []byte) (*Catalog, error) {
	file, root := strictyaml.Parse(name, b, MaxBytes)
	doc := root.Object("sites")
	sites := doc.At("sites").List()
	if len(sites) == 0 && file.Err() == nil {
		doc.At("sites").Fault("is missing or empty: list at least one site")
	}
	c := &Catalog{}
	seen := ids{}
	for _, n := range sites {
		c.Sites = append(c.Sites, site(n, seen))
	}
	if err := file.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func site(n strictyaml.Node, seen ids) Site {
	o := n.Object("id", "aliases", "name", "zone", "gateways", "meters", "storages")
	s := Site{Name: name(o.At("name")), Zone: zone(o.At("zone"))}
	s.ID, s.Aliases = seen.identity(o, "site")
	gateways := ids{}
	for _, g := range o.At("gateways").List() {
		s.Gateways = append(s.Gateways, gateway(g, gateways))
	}
	meters := map[string]string{}
	for _, m := range o.At("meters").List() {
		s.Meters = append(s.Meters, meter(m, &s, meters))
	}
	storages := ids{}
	for _, st := range o.At("storages").List() {
		s.Storages = append(s.Storages, storage(st, &s, storages))
	}
	return s
}

func gateway(n strictyaml.Node, seen ids) Gateway {
	o := n.Object("id", "aliases", "devices")
	g := Gateway{}
	g.ID, g.Aliases = seen.identity(o, "gateway")
	devices := ids{}
	for _, d := range o.At("devices").List() {
		do := d.Object("id", "aliases", "name", "placement")
		dev := Device{Name: name(do.At("name"))}
		dev.ID, dev.Aliases = devices.identity(do, "device")
		do.At("placement").Into(&dev.Placement, "where the device is, for a person who has to find it")
		g.Devices = append(g.Devices, dev)
	}
	return g
}

func storage(n strictyaml.Node, s *Site, seen ids) Storage {
	o := n.Object("id", "name", "level", "capacity_m3")
	st := Storage{Name: name(o.At("name"))}
	st.ID = seen.id(o.At("id"), "storage")
	if level := o.At("level"); level.Present() {
		st.Level = pointRef(level.Object("gateway", "device", "point"), s)
	} else {
		level.Fault("is missing: give gateway, device and point of the level sensor")
	}
	if capacity := o.At("capacity_m3"); capacity.Present() {
		capacity.Number(&st.CapacityM3, 0.001, 1e9)
	} else {
		capacity.Fault("is missing: give the volume at overflow in cubic metres")
	}
	return st
}

// ids remembers which names a scope has used, and where.
type ids map[string]string

// identity reads an id and its former ids and refuses one that is taken.
func (seen ids) identity(o strictyaml.Object, what string) (string, []string) {
	own := seen.id(o.At("id"), what)
	var former []string
	for _, a := range o.At("aliases").List() {
		if s := seen.id(a, what); s != "" {
			former = append(former, s)
		}
	}
	return own, former
}

func (seen ids) id(n strictyaml.Node, what string) string {
	s, ok := n.Text("the id of the " + what)
	if !ok {
		return ""
	}
	if err := telemetry.CheckID(s); err != nil {
		n.Fault("%s", err)
		return ""
	}
	if at, taken := seen[s]; taken {
		n.Fault("%q is already taken by %s: ids and former ids are never used twice", s, at)
		return ""
	}
	seen[s] = n.Key()
	return s
}

func name(n strictyaml.Node) Name {
	if !n.Present() {
		n.Fault("is missing: give a name in both languages, {en: …, zh: …}")
		return Name{}
	}
	o := n.Object("en", "zh")
	en, _ := o.At("en").Text("the English name")
	zh, _ := o.At("zh").Text("the Chinese name")
	return Name{EN: en, ZH: zh}
}

func zone(n strictyaml.Node) *time.Location {
	s, ok := n.Text("the IANA zone, e.g. Asia/Shanghai")
	if !ok {
		return nil
	}
	loc, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		n.Fault("%q is no IANA zone: write e.g. Asia/Shanghai", s)
		return nil
	}
	return loc
}

// pointRef reads gateway, device and point and checks that the site has them.
func pointRef(o strictyaml.Object, s *Site) PointRef {
	var p PointRef
	var gw *Gateway
	if id, ok := o.At("gateway").Text("the id of the gateway"); ok {
		p.Gateway = id
		if gw, ok = s.Gateway(id); !ok {
			o.At("gateway").Fault("site %s has no gateway %q: list it under gateways, or use its present id", s.ID, id)
		}
	}
	if id, ok := o.At("device").Text("the id of the device"); ok {
		p.Device = id
		if gw != nil {
			if _, ok = gw.Device(id); !ok {
				o.At("device").Fault("gateway %s has no device %q: list it under devices, or use its present id", gw.ID, id)
			}
		}
	}
	if point, ok := o.At("point").Text("the name of the point"); ok {
		p.Point = point
		if err := telemetry.CheckPoint(point); err != nil {
			o.At("point").Fault("%s", err)
		}
	}
	return p
}

func channel(n strictyaml.Node) Channel {
	s, ok := n.Text("what the meter counts, e.g. import")
	if !ok {
		return ""
	}
	if c := Channel(s); slices.Contains(Channels(), c) {
		return c
	}
	n.Fault("unknown channel %q: use one of %s", s, words(Channels()))
	return ""
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}
