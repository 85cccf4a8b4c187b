package profile

import (
	"strconv"

	"yunhe/internal/strictyaml"
)

func (r *reader) point(n strictyaml.Node) Point {
	o := pointShape.read(n)
	p := Point{Group: Fast, Scale: Scale{Num: NewDecimal(1, 0)}, CounterBits: unsetBits, Source: r.source(o)}
	o.At("name").Into(&p.Name, "the name of the point")
	quantity(o.At("quantity"), &p.Quantity)
	o.At("note").Into(&p.Note, "a sentence")
	value(o.At("scale"), &p.Scale, ParseScale)
	value(o.At("offset"), &p.Offset, ParseDecimal)
	if at := o.At("scale_factor"); at.Present() {
		p.Exponent = &Exponent{Address: address(at)}
	}
	if at := o.At("decimals"); at.Present() {
		p.Exponent = &Exponent{Address: address(at), Negate: true}
		if o.At("scale_factor").Present() {
			at.Fault("scale_factor and decimals exclude one another: keep one")
		}
	}
	p.Select = r.selector(o.At("select"), p.Source)
	o.At("times").Texts(&p.Times, "the name of a point")
	p.NA = sentinels(o.At("na"))
	whole(o, "counter_bits", &p.CounterBits)
	word(o.At("reset"), &p.Reset, resetNames)
	o.At("restart").Into(&p.Restart, "the name of a counter")
	p.Enum = enum(o.At("enum"))
	o.At("destructive").Bool(&p.Destructive)
	p.Enabled = !p.Destructive
	o.At("enabled").Bool(&p.Enabled)
	word(o.At("group"), &p.Group, groupNames)
	word(o.At("confidence"), &p.Confidence, confidences)
	for _, n := range o.At("parts").List() {
		p.Parts = append(p.Parts, r.part(n, p.Source))
	}
	r.place(o, "address", "words", "parts")
	return p
}

// part reads an addend: it stands in the table of its point, in its orders.
func (r *reader) part(n strictyaml.Node, of Source) Part {
	o := partShape.read(n)
	t := Part{Source: Source{Table: of.Table, Order: of.Order, Type: of.Type}, Scale: NewDecimal(1, 0)}
	whole(o, "address", &t.Address)
	value(o.At("type"), &t.Type, parseType)
	value(o.At("scale"), &t.Scale, ParseDecimal)
	t.Bits = r.bits(o.At("bits"))
	t.NA = sentinels(o.At("na"))
	r.place(o, "address")
	return t
}

func (r *reader) selector(n strictyaml.Node, of Source) *Select {
	if !n.Present() {
		return nil
	}
	o := selectShape.read(n)
	s := &Select{Source: Source{Table: of.Table, Order: of.Order, Type: U16}, Scales: map[string]Decimal{}}
	whole(o, "address", &s.Address)
	value(o.At("type"), &s.Type, parseType)
	whole(o, "length", &s.Length)
	scales := o.At("scales").Object()
	for _, k := range scales.Keys() {
		var d Decimal
		value(scales.At(k), &d, ParseDecimal)
		s.Scales[k] = d
	}
	r.place(o, "address")
	return s
}

func sentinels(n strictyaml.Node) (list []Sentinel) {
	for _, e := range n.List() {
		var s Sentinel
		value(e, &s, ParseSentinel)
		list = append(list, s)
	}
	return list
}

// enum reads names for whole numbers.
func enum(n strictyaml.Node) map[uint64]string {
	if !n.Present() {
		return nil
	}
	names := map[uint64]string{}
	o := n.Object()
	for _, k := range o.Keys() {
		u, err := strconv.ParseUint(k, 0, 64)
		if _, twice := names[u]; err != nil || twice {
			o.At(k).Fault("%q is no whole number, or there is a name for it already", clip(k))
		}
		s, _ := o.At(k).Text("a name for the number")
		names[u] = s
	}
	return names
}

func (r *reader) link(n strictyaml.Node, l *Link) {
	*l = Link{Timeout: defaultTimeout, MaxBits: defaultMaxBits}
	o := linkShape.read(n)
	word(o.At("protocol"), &l.Protocol, protocols)
	whole(o, "unit_id", &l.UnitID)
	whole(o, "max_registers", &l.MaxRegisters)
	whole(o, "max_bits", &l.MaxBits)
	o.At("even").Bool(&l.Even)
	whole(o, "gap_fill", &l.GapFill)
	duration(o.At("min_gap"), &l.MinGap)
	duration(o.At("connect_delay"), &l.ConnectDelay)
	duration(o.At("unit_pause"), &l.UnitPause)
	duration(o.At("timeout"), &l.Timeout)
	whole(o, "retries", &l.Retries)
	whole(o, "busy_retries", &l.BusyRetries)
	whole(o, "max_clients", &l.MaxClients)
	o.At("night_offline").Bool(&l.NightOffline)
	l.Serial = r.serial(o.At("serial"))
	whole(o, "i2c_address", &l.I2CAddress)
	whole(o, "i2c_clock_hz", &l.I2CClockHz)
}

func (r *reader) serial(n strictyaml.Node) *Serial {
	if !n.Present() {
		return nil
	}
	s := &Serial{DataBits: 8, StopBits: 1, Parity: "none"}
	o := serialShape.read(n)
	whole(o, "baud", &s.Baud)
	whole(o, "data_bits", &s.DataBits)
	whole(o, "stop_bits", &s.StopBits)
	word(o.At("parity"), &s.Parity, parities)
	if !o.At("baud").Present() {
		o.At("baud").Fault("is missing: say the speed of the line as delivered")
	}
	return s
}
