// Package profile knows device profiles: what registers a device has, in how
// few reads they can be fetched, and what their bytes mean. It performs no
// I/O of its own and never invents a value.
//
// The life of a reading here is short:
//
//	p, err := profile.Parse("eastron-sdm630.yaml", text)      // every fault at once
//	plan, err := p.Plan(profile.Options{Groups: profile.Fast}) // fewest block reads
//	for _, b := range plan.Blocks {
//		raw, err := read(b.Table, b.Address, b.Count)      // somebody's bus
//		results = append(results, profile.Result{Block: b, Raw: raw, At: at, Err: err})
//	}
//	readings := plan.Decode(now, results)                      // one reading a point
//
// A block that a device refuses (Modbus exception 2 or 3) is halved by
// Plan.Split until one point is left; that point's range goes into
// Options.Refused of the next plan. Discover makes a Profile from a SunSpec
// device by walking its model chain, so everything above it is the same.
// Encode is the inverse of Decode, for simulators.
package profile

import (
	"slices"
	"time"

	"yunhe/internal/telemetry"
)

// Profile describes one device model. It is made by Parse or Discover and
// never changed afterwards, so it may be shared between goroutines.
type Profile struct {
	ID            string // as in telemetry.CheckID
	Version       int    // grows with every change of the map
	Kind          string // one of Kinds; names the measurement in stores
	Vendor, Model string
	Link          Link
	Areas         []Area
	Match         []Step     // cheap, safe reads that tell whether this is the device
	Identity      []IDField  // where serial number and firmware stand
	Found         Identity   // what Discover read; empty for a parsed profile
	Points        []Point    // in the order of the file
	Atomic        [][]string // points that must come from one response
	Sources       []string
	Confidence    Confidence
	Note          string
	Hash          [32]byte // SHA-256 of the text it was parsed from
}

// Protocol is how a device is spoken to.
type Protocol string

const (
	Modbus Protocol = "modbus"
	I2C    Protocol = "i2c"
)

// Link holds the limits and habits of a device on its bus.
type Link struct {
	Protocol     Protocol
	UnitID       uint8         // Modbus unit id as delivered; 0: not known
	MaxRegisters uint16        // most registers (I2C: bytes) a read; never more than 125 on Modbus
	MaxBits      uint16        // most coils or discrete inputs a read
	Even         bool          // odd register counts are refused
	GapFill      uint16        // registers read along in vain to save a request
	MinGap       time.Duration // silence between an answer and the next request
	ConnectDelay time.Duration // pause after a TCP connect
	UnitPause    time.Duration // pause when another unit id was spoken to before
	Timeout      time.Duration // wait for one answer; 1 s unless stated
	Retries      int           // after a timeout
	BusyRetries  int           // after exception 6, device busy
	MaxClients   int           // TCP clients served at once; 0: not known
	NightOffline bool          // leaves the bus without sun; absence is no fault
	Serial       *Serial       // nil: no serial line, or settings not known
	I2CAddress   uint8         // 7 bit
	I2CClockHz   int
}

// Serial holds the settings of a serial line as delivered.
type Serial struct {
	Baud, DataBits, StopBits int
	Parity                   string // none, even, odd
}

// Area is a range of addresses, both ends included, inside which reads may
// merge. A table that has areas has no points outside them. In a single area
// every value is read alone.
type Area struct {
	Table    Table
	From, To uint16
	Single   bool
}

// Point is one value a device offers.
type Point struct {
	Name     string
	Quantity telemetry.Quantity // fixes unit, class and value type
	Note     string
	Source
	// Parts, when set, replace Source: the value is their sum (kWh and MWh
	// registers, integer and fraction). All come from one response.
	Parts  []Part
	Scale  Scale   // raw × Scale = value in the unit of Quantity
	Offset Decimal // added last; never on a counter
	// Exponent names a register that holds a power of ten.
	Exponent *Exponent
	// Select names a register whose value chooses a further scale.
	Select *Select
	// Times names points whose value this register is defined to be
	// multiplied with. A CT or VT ratio is not allowed here: see ADR 0004.
	Times []string
	NA    []Sentinel // raw values that mean "not available"

	CounterBits uint8  // width of the register; 0: wraps nowhere (float, sum of parts)
	Reset       Reset  // a fall that is by design
	Restart     string // counter of the same device that falls when this one restarts
	Enum        map[uint64]string

	Destructive bool // reading changes the device: never merged, off by default
	Enabled     bool
	Group       Groups // Fast or Slow
	Confidence  Confidence

	info    telemetry.QuantityInfo
	formula Formula
	span    Range     // hull of every register of the point's own
	words   []Range   // registers of the formula's operands, in order
	own     [][]Range // the same by operand, for encoding
	spread  []int     // parts in the order in which encoding fills them
}

// Source says where the bytes of one number stand and how to read them.
type Source struct {
	Table   Table
	Address uint16
	Words   []uint16 // addresses when they are not adjacent, most significant first
	Type    RegisterType
	Length  uint16 // registers (I2C: bytes) of a string or hex
	Order   Order
	Bits    *Bits
}

// Part is one addend of a point.
type Part struct {
	Source
	Scale Decimal    // weight; 1 unless stated
	NA    []Sentinel // beside those of the point
}

// Bits picks a bit field out of an integer register.
type Bits struct{ From, Count uint8 }

// Exponent is a register that holds a power of ten: a SunSpec scale factor
// (value = raw × 10^n), or with Negate a count of decimals (raw × 10^-n).
type Exponent struct {
	Address uint16
	Negate  bool
}

// Select is a register whose content chooses a scale. Content that is not
// listed makes the reading bad.
type Select struct {
	Source
	Scales map[string]Decimal // by decimal integer or by text
}

// Reset says when a counter falls without a fault.
type Reset string

const (
	NoReset      Reset = ""
	ResetDaily   Reset = "daily"
	ResetMonthly Reset = "monthly"
	ResetYearly  Reset = "yearly"
	ResetManual  Reset = "manual"    // somebody may clear it at the device
	ResetPower   Reset = "power_off" // lost when the device loses power
)

// Confidence says how well a map is proven.
type Confidence string

const (
	High   Confidence = "high"   // two independent sources agree
	Medium Confidence = "medium" // one vendor document
	Low    Confidence = "low"    // unproven: one secondary source
)

// Groups is a set of poll groups.
type Groups uint8

const (
	Fast Groups = 1 << iota
	Slow
)

// Kinds returns the closed list of device kinds.
func Kinds() []string { return slices.Clone(kinds) }

var kinds = []string{
	"electricity_meter", "heat_meter", "water_meter", "gas_meter",
	"heat_pump", "pv_inverter", "battery",
	"rain_gauge", "level_sensor", "weather_station", "analog_input",
}

// Point returns the point called name.
func (p *Profile) Point(name string) (*Point, bool) {
	for i := range p.Points {
		if p.Points[i].Name == name {
			return &p.Points[i], true
		}
	}
	return nil, false
}

// Class returns gauge, counter or status.
func (p *Point) Class() telemetry.Class { return p.info.Class }

// Type returns the type of the point's readings.
func (p *Point) Type() telemetry.Type { return p.info.Type }

// Unit returns the UCUM unit of the point's readings.
func (p *Point) Unit() telemetry.Unit { return p.info.Unit }

// Range returns the registers of the point, without those of its Times.
func (p *Point) Range() Range { return p.span }

// Description is what a signed definition says about a point.
type Description struct {
	Name     string
	Quantity telemetry.Quantity
	Unit     telemetry.Unit
	Class    telemetry.Class
	Type     telemetry.Type
	Table    string
	Address  uint32 // lowest register of the value
	// RegisterType and WordOrder say how the value follows from the raw bytes
	// of a reading; ParseFormula reads them back.
	RegisterType string
	WordOrder    string
	Scale        string // decimal
	CounterBits  uint8  // 0: wraps nowhere
}

// Describe returns what a definition says about the point.
func (p *Point) Describe() Description {
	return Description{
		Name: p.Name, Quantity: p.Quantity, Unit: p.info.Unit, Class: p.info.Class, Type: p.info.Type,
		Table: p.formulaSource().Table.String(), Address: uint32(p.valueStart()),
		RegisterType: p.formula.text(), WordOrder: p.formulaSource().Order.String(),
		Scale: p.Scale.String(), CounterBits: p.CounterBits,
	}
}
