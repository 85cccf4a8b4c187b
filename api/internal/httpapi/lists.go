package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"yunhe/api/internal/query"
	"yunhe/internal/access"
	"yunhe/internal/catalog"
	"yunhe/internal/records"
	"yunhe/internal/telemetry"
)

type sitesOutput struct {
	Body struct {
		Sites []Site `json:"sites" nullable:"false" doc:"Every site this key reads, by id"`
	}
}

type gatewaysOutput struct {
	Body struct {
		Time     time.Time `json:"time" doc:"Time of this answer; ages count to it"`
		Gateways []Gateway `json:"gateways" nullable:"false" doc:"By site and id; gateways that only the catalog knows are among them"`
	}
}

type devicesOutput struct {
	Body struct {
		Time    time.Time `json:"time" doc:"Time of this answer; ages count to it"`
		Devices []Device  `json:"devices" nullable:"false" doc:"By site, gateway and id; devices that only the catalog knows are among them"`
	}
}

type pointsOutput struct {
	Body struct {
		Points []Point `json:"points" nullable:"false" doc:"By site, gateway, device and name"`
	}
}

type siteInput struct {
	Site string `query:"site" doc:"Id of a site; all sites of the key if left out" example:"canal-1"`
}

type gatewayInput struct {
	Site    string   `query:"site" doc:"Id of a site; all sites of the key if left out" example:"canal-1"`
	Gateway []string `query:"gateway,explode" doc:"Ids of gateways, repeated or separated by commas; all if left out"`
}

type deviceInput struct {
	Site    string   `query:"site" doc:"Id of a site; all sites of the key if left out" example:"canal-1"`
	Gateway []string `query:"gateway,explode" doc:"Ids of gateways, repeated or separated by commas; all if left out"`
	Device  []string `query:"device,explode" doc:"Ids of devices, repeated or separated by commas; all if left out"`
}

func (s *server) registerLists(api huma.API) {
	op := func(id, path, summary, text string) huma.Operation {
		return sited(huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"places"}, Summary: summary, Description: text})
	}
	register(s, api, op("list-sites", "/api/v1/sites", "List sites", "The sites this key reads."), s.listSites)
	register(s, api, op("list-gateways", "/api/v1/gateways", "List gateways", "Gateways with last contact, clock state, backlog, firmware and last error. Only the enrolled keys and the fact that data arrived are proven; the rest is what a gateway says of itself."), s.listGateways)
	register(s, api, op("list-devices", "/api/v1/devices", "List devices", "Devices as their newest signed definition describes them, with names and places from the catalog."), s.listDevices)
	register(s, api, op("list-points", "/api/v1/points", "List points", "Points with quantity, unit and the register they are read from."), s.listPoints)
}

// sitesOf returns the ids of the sites that k reads and the catalog lists.
func (s *server) sitesOf(k access.Key) []string {
	out := []string{}
	for i := range s.cfg.Catalog.Sites {
		if id := s.cfg.Catalog.Sites[i].ID; k.MayRead(id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// siteFor returns the site if the caller reads it. The refusal is the same for
// a site that is not there and for one of somebody else.
func (s *server) siteFor(c caller, id string) (*catalog.Site, error) {
	site, ok := s.cfg.Catalog.Site(id)
	if !c.MayRead(id) || !ok {
		return nil, noSite()
	}
	return site, nil
}

// scope turns a checked filter into the sites to ask about.
func (s *server) scope(ctx context.Context, p query.Params) (query.Filter, records.Scope, error) {
	f, err := query.ParseFilter(p, s.ask)
	if err != nil {
		return f, records.Scope{}, paramProblem(err)
	}
	c := callerOf(ctx)
	if f.Site == "" {
		return f, records.Scope{Sites: s.sitesOf(c.Key)}, nil
	}
	if _, err := s.siteFor(c, f.Site); err != nil {
		return f, records.Scope{}, err
	}
	return f, records.Scope{Sites: []string{f.Site}}, nil
}

func (s *server) listSites(ctx context.Context, _ *struct{}) (*sitesOutput, error) {
	out := &sitesOutput{}
	out.Body.Sites = []Site{}
	for _, id := range s.sitesOf(callerOf(ctx).Key) {
		site, _ := s.cfg.Catalog.Site(id)
		out.Body.Sites = append(out.Body.Sites, Site{ID: id, Name: Name(site.Name), Zone: site.Zone.String()})
	}
	return out, nil
}

func (s *server) listGateways(ctx context.Context, in *siteInput) (*gatewaysOutput, error) {
	_, scope, err := s.scope(ctx, query.Params{Site: in.Site})
	if err != nil {
		return nil, err
	}
	known, err := s.cfg.Records.Gateways(ctx, scope)
	if err != nil {
		return nil, storeError("list gateways", err)
	}
	now := s.cfg.Clock().UTC().Truncate(time.Millisecond)
	out := &gatewaysOutput{}
	out.Body.Time = now
	out.Body.Gateways = []Gateway{}
	seen := map[[2]string]bool{}
	for _, g := range known {
		if !scope.Allows(g.Site) {
			continue
		}
		seen[[2]string{g.Site, g.Gateway}] = true
		out.Body.Gateways = append(out.Body.Gateways, s.gateway(g, now))
	}
	for _, id := range scope.Sites {
		site, _ := s.cfg.Catalog.Site(id)
		for _, g := range site.Gateways {
			if !seen[[2]string{id, g.ID}] {
				out.Body.Gateways = append(out.Body.Gateways, Gateway{Site: id, Gateway: g.ID, Listed: true, Keys: []string{}})
			}
		}
	}
	slices.SortFunc(out.Body.Gateways, func(a, b Gateway) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Gateway, b.Gateway))
	})
	return out, nil
}

func (s *server) gateway(g records.Gateway, now time.Time) Gateway {
	o := Gateway{
		Site: g.Site, Gateway: g.Gateway, Unsigned: g.Unsigned, Online: g.Online, Backlog: g.Backlog,
		Firmware: g.Version, Keys: g.Keys,
	}
	if site, ok := s.cfg.Catalog.Site(g.Site); ok {
		_, o.Listed = site.Gateway(g.Gateway)
	}
	if o.Keys == nil {
		o.Keys = []string{}
	}
	o.LastSeen, o.AgeS = when(g.LastSeen, now)
	if g.ClockState != "" {
		o.Clock = &Clock{State: g.ClockState, OffsetMS: g.ClockOffset}
	}
	if g.LastError != "" {
		o.LastError = &LastError{Text: g.LastError}
		o.LastError.Time, _ = when(g.LastErrorAt, now)
	}
	return o
}

// when returns a time and its age in seconds; nothing for no time.
func when(t, now time.Time) (*time.Time, *float64) {
	if t.IsZero() {
		return nil, nil
	}
	t = t.UTC()
	age := now.Sub(t).Round(time.Millisecond).Seconds()
	return &t, &age
}

func (s *server) listDevices(ctx context.Context, in *gatewayInput) (*devicesOutput, error) {
	f, scope, err := s.scope(ctx, query.Params{Site: in.Site, Gateway: in.Gateway, Unsigned: true})
	if err != nil {
		return nil, err
	}
	known, err := s.cfg.Records.Devices(ctx, scope)
	if err != nil {
		return nil, storeError("list devices", err)
	}
	now := s.cfg.Clock().UTC().Truncate(time.Millisecond)
	out := &devicesOutput{}
	out.Body.Time = now
	out.Body.Devices = []Device{}
	seen := map[[3]string]bool{}
	for _, d := range known {
		if !scope.Allows(d.Site) || !selected(f.Gateways, d.Gateway) {
			continue
		}
		seen[[3]string{d.Site, d.Gateway, d.Device}] = true
		o := Device{
			Site: d.Site, Gateway: d.Gateway, Device: d.Device, Unsigned: d.Unsigned, Kind: d.Kind, Profile: d.Profile,
			ProfileVersion: d.ProfileVersion, Vendor: d.Vendor, Model: d.Model, Serial: d.Serial, Firmware: d.Firmware, Definition: d.Definition,
		}
		o.LastReading, o.AgeS = when(d.LastReading, now)
		out.Body.Devices = append(out.Body.Devices, o)
	}
	for _, id := range scope.Sites {
		out.Body.Devices = s.listed(out.Body.Devices, seen, id, f)
	}
	slices.SortFunc(out.Body.Devices, func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Device, b.Device))
	})
	return out, nil
}

// listed adds what the catalog says about the devices of a site: a name and a
// place for those that reported, an entry for those that have not.
func (s *server) listed(list []Device, seen map[[3]string]bool, id string, f query.Filter) []Device {
	site, _ := s.cfg.Catalog.Site(id)
	for _, g := range site.Gateways {
		if !selected(f.Gateways, g.ID) {
			continue
		}
		for _, d := range g.Devices {
			if !seen[[3]string{id, g.ID, d.ID}] {
				list = append(list, Device{Site: id, Gateway: g.ID, Device: d.ID})
			}
			for i := range list {
				if o := &list[i]; o.Site == id && o.Gateway == g.ID && o.Device == d.ID {
					name := Name(d.Name)
					o.Listed, o.Name, o.Placement = true, &name, d.Placement
				}
			}
		}
	}
	return list
}

func (s *server) listPoints(ctx context.Context, in *deviceInput) (*pointsOutput, error) {
	f, scope, err := s.scope(ctx, query.Params{Site: in.Site, Gateway: in.Gateway, Device: in.Device, Unsigned: true})
	if err != nil {
		return nil, err
	}
	known, err := s.cfg.Records.Points(ctx, scope)
	if err != nil {
		return nil, storeError("list points", err)
	}
	out := &pointsOutput{}
	out.Body.Points = []Point{}
	for _, p := range known {
		if !scope.Allows(p.Site) || !selected(f.Gateways, p.Gateway) || !selected(f.Devices, p.Device) {
			continue
		}
		o := Point{
			Site: p.Site, Gateway: p.Gateway, Device: p.Device, Name: p.Name, Quantity: string(p.Quantity), Unit: string(p.Unit),
			Class: p.Class, Type: p.Type, Table: p.Table, Address: p.Address, RegisterType: p.RegisterType, WordOrder: p.WordOrder,
			Scale: p.Scale, CounterBits: p.CounterBits,
		}
		if q, ok := telemetry.LookupQuantity(p.Quantity); ok {
			o.Title = &Name{EN: q.EN, ZH: q.ZH}
		}
		out.Body.Points = append(out.Body.Points, o)
	}
	return out, nil
}

func selected(wanted []string, name string) bool {
	return len(wanted) == 0 || slices.Contains(wanted, name)
}
