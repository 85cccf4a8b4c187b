// Package simulate is a district site that exists in memory only, on real
// sockets: devices made from the same profiles that read them, driven by the
// physics of package world. With the real clock it is a live site; with a
// virtual one it is the same site's past at any speed.
package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/i2c"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
	"yunhe/internal/simulate/device"
	"yunhe/internal/simulate/i2cdev"
	"yunhe/internal/simulate/modbusserver"
	"yunhe/internal/simulate/world"
)

// Names of the devices of the demo site.
const (
	HeatPump   = "heat-pump"
	Inverter   = "pv-inverter"
	MainMeter  = "main-meter"
	HeatMeter  = "heat-meter"
	RainGauge  = "rain-gauge"
	LevelProbe = "storage-tank"
)

// I2CPath is the device file that the site's I2C bus stands for.
const I2CPath = "/dev/i2c-1"

// Options describe a site.
type Options struct {
	Start time.Time // when the world begins; the same for its past and its present
	Seed  uint64
	// Now is the clock: the real one, or a virtual one that somebody advances.
	Now func() time.Time
	// Listen are the addresses of the sockets: heat pump, inverter, and the line
	// of the three meters; nil means free loopback ports.
	Listen []string
	// OnReply, when set, is told of each good answer before it is sent.
	OnReply func(device.Reply)
}

// Endpoint says how a device of the site is reached.
type Endpoint struct {
	Device  string
	Profile string // "sunspec" for a device that is discovered
	Address string // of its bus, as in a gateway's config
	Unit    uint8  // Modbus unit id, 0 on I2C
	I2C     uint8  // 7-bit address, 0 on Modbus
}

// Site is the demo site: heat pump, PV inverter, main meter, heat meter, rain
// gauge and storage tank.
type Site struct {
	World   *world.World
	devices map[string]*device.Device
	ends    []Endpoint
	servers []*modbusserver.TCP
	i2c     *i2cdev.Bus
}

// kind is how one device of the site is made.
type kind struct {
	name    string
	profile string
	view    func(world.State, values)
	fixed   profile.Image
}

// kinds are the devices whose profile is a file. What fixed holds is there
// beside the points: model ids, and zeros between the values.
func kinds() []kind {
	return []kind{
		{HeatPump, "stiebel-isg-wpm", heatPump, with(profile.Image{profile.Input: {5001: 449}},
			profile.Range{Table: profile.Input, Address: 500, Count: 112}, profile.Range{Table: profile.Input, Address: 2500, Count: 47},
			profile.Range{Table: profile.Input, Address: 3500, Count: 19})},
		{MainMeter, "eastron-sdm630", mainMeter, with(profile.Image{}, profile.Range{Table: profile.Input, Address: 0, Count: 392})},
		{HeatMeter, "tuf2000m", heatMeter, with(profile.Image{}, profile.Range{Table: profile.Holding, Address: 0, Count: 120})},
		{LevelProbe, "generic-rs485-level-transmitter", levelProbe, with(profile.Image{}, profile.Range{Table: profile.Holding, Address: 0, Count: 13})},
		// Product and vendor id, then firmware 1.0.
		{RainGauge, "dfrobot-sen0575", rainGauge, profile.Image{profile.Bytes: {0: 0xC0, 1: 0x00, 2: 0x43, 3: 0x73, 10: 0x00, 11: 0x10}}},
	}
}

func with(im profile.Image, ranges ...profile.Range) profile.Image {
	for _, r := range ranges {
		im.Fill(r)
	}
	return im
}

// NewSite makes the site and opens its sockets on free loopback ports. Run
// serves them.
func NewSite(o Options) (*Site, error) {
	s := &Site{World: world.New(o.Start, o.Seed), devices: map[string]*device.Device{}}
	if err := s.build(o); err != nil {
		return nil, fmt.Errorf("simulate site: %w", err)
	}
	if err := s.listen(o.Listen); err != nil {
		s.close()
		return nil, fmt.Errorf("simulate site: %w", err)
	}
	return s, nil
}

func (s *Site) build(o Options) error {
	add := func(k kind, p *profile.Profile) error {
		d, err := device.New(device.Options{
			Name: k.name, Profile: p, Source: of(s.World, k.view), Now: o.Now,
			Grid: world.Step, Fixed: k.fixed, OnReply: o.OnReply,
		})
		s.devices[k.name] = d
		return err
	}
	for _, k := range kinds() {
		p, err := loadProfile(k.profile)
		if err != nil {
			return err
		}
		if err := add(k, p); err != nil {
			return err
		}
	}
	image := sunspecImage(identity{"Yunhe Simulation", "PV-36K", "1.0.0", "SIM-0001"})
	p, err := discover(image)
	if err != nil {
		return err
	}
	return add(kind{Inverter, "sunspec", inverter, image}, p)
}

func loadProfile(id string) (*profile.Profile, error) {
	name := id + ".yaml"
	text, err := firmwareconfig.Profiles.ReadFile("profiles/" + name)
	if err != nil {
		return nil, err
	}
	return profile.Parse(name, text)
}

// listen puts heat pump and inverter on sockets of their own and the three
// meters behind one, as a converter for a whole RS-485 line does.
func (s *Site) listen(at []string) error {
	lines := [][]string{{HeatPump}, {Inverter}, {MainMeter, HeatMeter, LevelProbe}}
	if at == nil {
		at = slices.Repeat([]string{"127.0.0.1:0"}, len(lines))
	}
	if len(at) != len(lines) {
		return fmt.Errorf("%d addresses to listen on: %d are needed", len(at), len(lines))
	}
	for i, line := range lines {
		units := modbusserver.Units{}
		for unit, name := range line {
			units[uint8(unit+1)] = s.devices[name]
		}
		server, err := modbusserver.ListenTCP(at[i], units)
		if err != nil {
			return err
		}
		s.servers = append(s.servers, server)
		for unit, name := range line {
			e := Endpoint{Device: name, Profile: s.devices[name].Profile().ID, Address: "tcp://" + server.Addr(), Unit: uint8(unit + 1)}
			if name == Inverter {
				e.Profile = "sunspec"
			}
			s.ends = append(s.ends, e)
		}
	}
	gauge := s.devices[RainGauge]
	address := gauge.Profile().Link.I2CAddress
	s.i2c = i2cdev.NewBus(I2CPath, map[uint8]*device.Device{address: gauge})
	s.ends = append(s.ends, Endpoint{Device: RainGauge, Profile: gauge.Profile().ID, Address: "i2c:" + I2CPath, I2C: address})
	return nil
}

// Endpoints returns how each device is reached.
func (s *Site) Endpoints() []Endpoint { return s.ends }

// Device returns a device of the site by name, to make it misbehave or to read
// it past all lines.
func (s *Site) Device(name string) (*device.Device, bool) {
	d, ok := s.devices[name]
	return d, ok
}

// OpenI2C stands in for the host's I2C: it knows I2CPath.
func (s *Site) OpenI2C(path string) (i2c.BusCloser, error) { return s.i2c.Open(path) }

// Run serves the site until ctx ends.
func (s *Site) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, server := range s.servers {
		g.Go(func() error { return server.Run(ctx) })
	}
	return g.Wait()
}

// close gives back what listen opened before it failed.
func (s *Site) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Run(ctx)
}
