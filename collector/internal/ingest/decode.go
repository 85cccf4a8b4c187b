package ingest

import (
	"fmt"
	"time"

	"yunhe/collector/internal/intake"
	"yunhe/internal/evidence"
	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// decoder is the state of one worker; a node's messages all pass one worker.
type decoder struct {
	*Pipeline
	wire     sparkplug.Decoder
	payload  sparkplug.Payload
	readings []telemetry.Reading
	foreign  map[intake.Gateway]*foreign // other Sparkplug nodes, bounded
}

func newDecoder(p *Pipeline) *decoder {
	return &decoder{Pipeline: p, foreign: map[intake.Gateway]*foreign{}}
}

// decode says what a message is and, of a signed one, whose.
func (d *decoder) decode(j job) *arrival {
	a := &arrival{job: j}
	topic, err := sparkplug.ParseTopic(j.Topic)
	if err != nil {
		a.refuse(Ignored, err.Error())
		return a
	}
	a.topic, a.node = topic, intake.Gateway{Site: topic.Group, Gateway: topic.Node}
	switch {
	case !d.owned[topic.Group]:
		a.refuse(Ignored, "the site is another collector's")
		return a
	case topic.Type == sparkplug.NCMD || topic.Type == sparkplug.DCMD:
		a.refuse(Ignored, "a command")
		return a
	}
	if err := d.wire.Decode(j.Payload, &d.payload); err != nil {
		a.refuse(Invalid, err.Error())
		return a
	}
	d.route(a)
	return a
}

// route decides by message type, evidence and enrolment.
func (d *decoder) route(a *arrival) {
	p := &d.payload
	data := a.topic.Type == sparkplug.DDATA || a.topic.Type == sparkplug.NDATA
	_, enrolled := d.gatewayOf(a.node)
	switch {
	case data && hasEvidence(p.Body):
		d.evidence(a)
	case a.topic.Type == sparkplug.NDEATH:
		a.death = true
		a.refuse(Status, "")
	case a.topic.Type == sparkplug.NBIRTH || a.topic.Type == sparkplug.NDATA:
		st, ok := sparkplug.ParseStatus(p)
		ours := enrolled || ok && st.KeyID != ""
		if ours {
			d.forgetForeign(a.node)
			if ok {
				a.status = &st
			}
			a.refuse(Status, "")
			return
		}
		d.unsigned(a)
	case enrolled && a.topic.Type == sparkplug.DDATA:
		a.refuse(Invalid, "a gateway with an enrolled key sent readings without evidence")
	case enrolled || a.topic.Type == sparkplug.DDEATH || d.speaksEvidence(a.node):
		a.refuse(Ignored, "")
	default:
		d.unsigned(a)
	}
}

// gatewayOf returns the gateway with an enrolled key that a node is, by its
// present or a former name.
func (p *Pipeline) gatewayOf(node intake.Gateway) (intake.Gateway, bool) {
	if p.Keys.Enrolled(node) {
		return node, true
	}
	s, g, _ := p.Alias(node.Site, node.Gateway, "")
	now := intake.Gateway{Site: s, Gateway: g}
	if p.owned[s] && p.Keys.Enrolled(now) {
		return now, true
	}
	return node, false
}

// attachedTag is the first byte of an attached entry: CBOR tag 18.
const attachedTag = 0xd2

// hasEvidence reports whether a body claims to be evidence.
func hasEvidence(body []byte) bool {
	return evidence.IsDetached(body) || len(body) > 0 && body[0] == attachedTag
}

// evidence rebuilds the entry, finds its key and verifies the signature.
func (d *decoder) evidence(a *arrival) {
	d.markEvidence(a.node)
	entry, err := d.entry()
	if err != nil {
		a.refuse(Invalid, err.Error())
		return
	}
	a.entry = entry
	key, ok := d.Keys.Lookup(entry.KeyID)
	if !ok {
		a.refuse(UnknownKey, fmt.Sprintf("the key %s is not enrolled: enrol it for the gateway that has it, or leave it", entry.KeyID.Fingerprint()))
		return
	}
	if err := entry.Verify(key.Public); err != nil {
		a.refuse(Invalid, err.Error())
		return
	}
	if !d.owned[key.Of.Site] {
		a.refuse(UnknownKey, fmt.Sprintf("the key is enrolled for site %s, which this collector does not own", key.Of.Site))
		return
	}
	a.signed, a.key = true, key
	if reason := revoked(key, entry.Content.Recorded); reason != "" {
		a.refuse(Held, reason)
	}
}

// entry puts the signed entry together from the decoded payload.
func (d *decoder) entry() (evidence.Entry, error) {
	p := &d.payload
	if !evidence.IsDetached(p.Body) {
		return evidence.Parse(p.Body)
	}
	rs, odd := p.Readings(d.readings[:0])
	d.readings = rs[:0]
	if len(odd) > 0 {
		return evidence.Entry{}, fmt.Errorf("rebuild entry: %s", odd[0])
	}
	return evidence.Rebuild(p.Body, rs)
}

// revoked says why an entry under a revoked key is not taken. A key that was
// merely replaced still vouches for what was recorded before.
func revoked(k intake.Key, recorded time.Time) string {
	switch {
	case k.Revoked.IsZero():
		return ""
	case !k.CompromisedSince.IsZero():
		return fmt.Sprintf("the key was revoked as compromised since %s", k.CompromisedSince.Format(time.RFC3339))
	case recorded.Before(k.Revoked):
		return ""
	}
	return fmt.Sprintf("the key was revoked at %s, and the entry is younger: enrol the gateway's present key", k.Revoked.Format(time.RFC3339))
}
