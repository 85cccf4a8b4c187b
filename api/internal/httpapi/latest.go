package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"yunhe/api/internal/export"
	"yunhe/api/internal/query"
	"yunhe/internal/records"
	"yunhe/internal/telemetry"
)

// Value is one measured value as JSON.
type Value struct{ telemetry.Value }

// MarshalJSON writes a number, a truth value, a text or null.
func (v Value) MarshalJSON() ([]byte, error) { return export.AppendValue(nil, v.Value), nil }

// Schema describes Value in the OpenAPI document.
func (Value) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "The value in the point's unit; null if quality is bad",
		OneOf:       []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeBoolean}, {Type: huma.TypeString}, {Type: "null"}},
	}
}

// Latest is the newest reading of one point.
type Latest struct {
	Time        time.Time `json:"time" doc:"When it was read"`
	AgeS        float64   `json:"age_s" doc:"Seconds from time to the time of this answer; negative if the gateway's clock is ahead"`
	Site        string    `json:"site" doc:"Id of the site"`
	Gateway     string    `json:"gateway" doc:"Id of the gateway"`
	Device      string    `json:"device" doc:"Id of the device"`
	Kind        string    `json:"kind" doc:"Kind of device"`
	Point       string    `json:"point" doc:"Name of the point"`
	Quantity    string    `json:"quantity" doc:"What is measured; empty if no definition tells"`
	Value       Value     `json:"value"`
	Unit        string    `json:"unit" doc:"UCUM code; empty if no definition tells"`
	Quality     string    `json:"quality" enum:"good,uncertain,bad" doc:"How far it may be trusted; bad has no value"`
	ClockFailed bool      `json:"clock_failed" doc:"The gateway's clock could not be trusted when it was read"`
	Unsigned    bool      `json:"unsigned" doc:"From a node that signs nothing"`
}

type latestInput struct {
	Site     string   `query:"site" doc:"Id of a site; all sites of the key if left out" example:"canal-1"`
	Gateway  []string `query:"gateway,explode" doc:"Ids of gateways, repeated or separated by commas; all if left out"`
	Device   []string `query:"device,explode" doc:"Ids of devices, repeated or separated by commas; all if left out"`
	Point    []string `query:"point,explode" doc:"Names of points, repeated or separated by commas; all if left out"`
	Unsigned bool     `query:"unsigned" doc:"Readings of nodes that sign nothing, instead of signed ones"`
}

type latestOutput struct {
	Body struct {
		Time     time.Time `json:"time" doc:"Time of this answer; ages count to it"`
		Readings []Latest  `json:"readings" nullable:"false" doc:"By site, gateway, device and point"`
	}
}

func (s *server) registerReadings(api huma.API) {
	register(s, api, sited(huma.Operation{
		OperationID: "latest-readings", Method: http.MethodGet, Path: "/api/v1/readings/latest", Tags: []string{"readings"},
		Summary:     "Newest reading of each point",
		Description: "The newest stored reading of each point, whatever its quality, with its own time and its age in seconds. Late data never moves it back.",
	}), s.latest)
	s.registerRange(api)
}

func (s *server) latest(ctx context.Context, in *latestInput) (*latestOutput, error) {
	f, scope, err := s.scope(ctx, query.Params{Site: in.Site, Gateway: in.Gateway, Device: in.Device, Point: in.Point, Unsigned: in.Unsigned})
	if err != nil {
		return nil, err
	}
	units, err := s.units(ctx, scope)
	if err != nil {
		return nil, err
	}
	out := &latestOutput{}
	out.Body.Readings = []Latest{}
	for _, site := range scope.Sites {
		q := f.Series()
		q.Site = site
		samples, err := s.cfg.Series.Latest(ctx, q)
		if err != nil {
			return nil, storeError("latest readings", err)
		}
		for _, m := range samples {
			p := units[pointKey{m.Device.Site, m.Device.Gateway, m.Device.ID, m.Point}]
			out.Body.Readings = append(out.Body.Readings, Latest{
				Time: m.Time.UTC(), Site: m.Device.Site, Gateway: m.Device.Gateway, Device: m.Device.ID, Kind: m.Device.Kind,
				Point: m.Point, Quantity: string(p.Quantity), Value: Value{m.Value}, Unit: string(p.Unit),
				Quality: m.Quality.String(), ClockFailed: m.ClockFailed, Unsigned: m.Device.Unsigned,
			})
		}
	}
	out.Body.Time = s.cfg.Clock().UTC().Truncate(time.Millisecond)
	for i := range out.Body.Readings {
		r := &out.Body.Readings[i]
		r.AgeS = out.Body.Time.Sub(r.Time).Round(time.Millisecond).Seconds()
	}
	return out, nil
}

// pointKey names a point of the whole district.
type pointKey struct{ site, gateway, device, point string }

// units returns the points of the sites, for their units.
func (s *server) units(ctx context.Context, scope records.Scope) (map[pointKey]records.Point, error) {
	list, err := s.cfg.Records.Points(ctx, scope)
	if err != nil {
		return nil, storeError("list points", err)
	}
	m := make(map[pointKey]records.Point, len(list))
	for _, p := range list {
		m[pointKey{p.Site, p.Gateway, p.Device, p.Name}] = p
	}
	return m, nil
}
