package sparkplug

// Filters are the MQTT topic filters that one account of a broker needs, and
// all that it should be granted.
type Filters struct {
	Publish, Subscribe []string
}

// NodeFilters are the filters of one edge node: it writes its own topics and
// reads its own commands and the state of the host, so that a stolen account
// reaches no other gateway.
func NodeFilters(group, node, host string) Filters {
	own := func(t MessageType) string {
		topic := Topic{Group: group, Type: t, Node: node}
		if t.OfDevice() {
			topic.Device = "+"
		}
		return topic.String()
	}
	return Filters{
		Publish: []string{
			own(NBIRTH), own(NDEATH), own(NDATA),
			own(DBIRTH), own(DDEATH), own(DDATA),
		},
		Subscribe: []string{own(NCMD), own(DCMD), StateTopic(host)},
	}
}

// HostFilters are the filters of the collector that owns the groups: it reads
// them, commands their nodes and writes its own state.
func HostFilters(host string, groups []string) Filters {
	f := Filters{Publish: []string{StateTopic(host)}, Subscribe: []string{StateTopic(host)}}
	for _, g := range groups {
		f.Publish = append(f.Publish, Topic{Group: g, Type: NCMD, Node: "+"}.String())
		f.Subscribe = append(f.Subscribe, Namespace+"/"+g+"/#")
	}
	return f
}
