// Package catalog reads what people say about the sites of a district:
// sites, gateways, devices, meters and storages, in one strict YAML file
// under version control. It states what is where; it holds no measured value.
package catalog

import (
	"fmt"
	"io"
	"os"
	"time"
	_ "time/tzdata" // zones must load on machines without a zone database

	"yunhe/internal/telemetry"
)

// MaxBytes is the largest catalog file that is read.
const MaxBytes = 8 << 20

// Catalog is a whole, checked file. It does not change after loading.
type Catalog struct {
	Sites []Site
}

// Name is a name for people in both languages.
type Name struct {
	EN, ZH string
}

// Site is one property with one owner, one zone and one collector.
type Site struct {
	ID       string
	Aliases  []string // former ids
	Name     Name
	Zone     *time.Location // fixes where days and months begin, nothing else
	Gateways []Gateway
	Meters   []Meter
	Storages []Storage
}

// Gateway is one box of a site and the devices that it reads.
type Gateway struct {
	ID      string
	Aliases []string // former ids
	Devices []Device
}

// Device is one thing on a bus.
type Device struct {
	ID        string
	Aliases   []string // former ids
	Name      Name
	Placement string // where to find it, for the person with the key to the room
}

// Meter is a register that somebody accounts for. Its key is site, id and
// channel; the boxes that read it change under it, by dates.
type Meter struct {
	ID       string
	Channel  Channel
	Quantity telemetry.Quantity
	Name     Name
	Sources  []Source // by From, not overlapping
}

// Source says which point stands for a meter in [From, To).
type Source struct {
	From    time.Time // inclusive, UTC
	To      time.Time // exclusive, UTC; zero: until further notice
	Entered time.Time // midnight, in the site's zone, of the day somebody wrote this down
	Reason  string    // why, if From lies before the day of Entered
	Point   PointRef
}

// PointRef names a point within a site.
type PointRef struct {
	Gateway, Device, Point string
}

// Storage is a tank, basin or pond whose level is measured.
type Storage struct {
	ID         string
	Name       Name
	Level      PointRef
	CapacityM3 float64 // volume at overflow
}

// Load reads and checks the file at path. The error lists every fault, one a
// line, each as "file:line: key: sentence".
func Load(path string) (*Catalog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	return Parse(path, b)
}

// Site returns the site with that id.
func (c *Catalog) Site(id string) (*Site, bool) {
	for i := range c.Sites {
		if c.Sites[i].ID == id {
			return &c.Sites[i], true
		}
	}
	return nil, false
}

// Current returns the present ids behind site, gateway and device, each of
// which may be a former id; device may be empty. ok is false if the catalog
// knows no such thing under its present or a former id.
func (c *Catalog) Current(site, gateway, device string) (s, g, d string, ok bool) {
	for i := range c.Sites {
		at := &c.Sites[i]
		if !named(site, at.ID, at.Aliases) {
			continue
		}
		for j := range at.Gateways {
			gw := &at.Gateways[j]
			if !named(gateway, gw.ID, gw.Aliases) {
				continue
			}
			if device == "" {
				return at.ID, gw.ID, "", true
			}
			for _, dev := range gw.Devices {
				if named(device, dev.ID, dev.Aliases) {
					return at.ID, gw.ID, dev.ID, true
				}
			}
		}
	}
	return "", "", "", false
}

// named reports whether id is the present id or a former one.
func named(id, present string, former []string) bool {
	if id == present {
		return true
	}
	for _, f := range former {
		if id == f {
			return true
		}
	}
	return false
}

// Gateway returns the gateway with that present id.
func (s *Site) Gateway(id string) (*Gateway, bool) {
	for i := range s.Gateways {
		if s.Gateways[i].ID == id {
			return &s.Gateways[i], true
		}
	}
	return nil, false
}

// Device returns the device with that present id.
func (g *Gateway) Device(id string) (*Device, bool) {
	for i := range g.Devices {
		if g.Devices[i].ID == id {
			return &g.Devices[i], true
		}
	}
	return nil, false
}

// Meter returns the meter with that id and channel.
func (s *Site) Meter(id string, ch Channel) (*Meter, bool) {
	for i := range s.Meters {
		if s.Meters[i].ID == id && s.Meters[i].Channel == ch {
			return &s.Meters[i], true
		}
	}
	return nil, false
}

// At returns the source that stands for m at t.
func (m *Meter) At(t time.Time) (Source, bool) {
	for _, s := range m.Sources {
		if !t.Before(s.From) && (s.To.IsZero() || t.Before(s.To)) {
			return s, true
		}
	}
	return Source{}, false
}
