package publish

import (
	"context"
	"maps"
	"slices"
	"time"

	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// births sends NBIRTH and all DBIRTHs.
func (s *session) births(ctx context.Context) error {
	now := s.cfg.Now()
	s.rebirth, s.bornAt, s.statusAt = false, now, now
	s.born = map[string]map[string]time.Time{}
	if err := s.link.send(ctx, s.wire.NodeBirth(s.cfg.Status(), now)); err != nil {
		return err
	}
	for _, b := range s.allBirths() {
		if err := s.link.send(ctx, s.wire.DeviceBirth(b.Device, b.Points, now)); err != nil {
			return err
		}
		names := make(map[string]time.Time, len(b.Points))
		for _, pt := range b.Points {
			names[pt.Name] = now
			if pt.Last != nil {
				names[pt.Name] = pt.Last.Time
			}
		}
		s.born[b.Device] = names
	}
	return nil
}

// allBirths joins the devices of today with the metrics of entries that are
// still in the journal (operational-behavior-data-publish-dbirth).
func (s *session) allBirths() []Birth {
	births := s.cfg.Births()
	at := make(map[string]int, len(births))
	for i, b := range births {
		at[b.Device] = i
	}
	for _, device := range slices.Sorted(maps.Keys(s.extra)) {
		i, ok := at[device]
		if !ok {
			i = len(births)
			births = append(births, Birth{Device: device})
		}
		for _, name := range slices.Sorted(maps.Keys(s.extra[device])) {
			known := func(pt sparkplug.BirthPoint) bool { return pt.Name == name }
			if !slices.ContainsFunc(births[i].Points, known) {
				births[i].Points = append(births[i].Points, s.extra[device][name])
			}
		}
	}
	return births
}

// bear makes sure that a device and its metrics were born in this session;
// what is missing belongs to the past and is born with a full rebirth
// (topic-structure-namespace-unique-device-id).
func (s *session) bear(ctx context.Context, device string, rs []telemetry.Reading) error {
	if device == "" {
		return nil
	}
	born, known := s.born[device]
	missing := !known
	extra := s.extra[device]
	if extra == nil {
		extra = map[string]sparkplug.BirthPoint{}
	}
	for _, r := range rs {
		if _, ok := born[r.Point]; !ok {
			extra[r.Point] = sparkplug.BirthPoint{Name: r.Point, Type: r.Type}
			missing = true
		}
	}
	if !missing {
		return nil
	}
	s.extra[device] = extra
	return s.births(ctx)
}
