package profile

import "fmt"

// Table is one of the address spaces of a device.
type Table uint8

// The zero Table is none.
const (
	Coil     Table = 1 // Modbus function 1, one bit an address
	Discrete Table = 2 // Modbus function 2, one bit an address
	Holding  Table = 3 // Modbus function 3, 16 bit an address
	Input    Table = 4 // Modbus function 4, 16 bit an address
	Bytes    Table = 5 // I2C byte registers: write the address, then read
)

var tableNames = map[string]Table{
	"coil": Coil, "discrete": Discrete, "holding": Holding, "input": Input, "i2c": Bytes,
}

// String returns coil, discrete, holding, input or i2c.
func (t Table) String() string {
	for n, v := range tableNames {
		if v == t {
			return n
		}
	}
	return fmt.Sprintf("invalid table %d", uint8(t))
}

// ParseTable is the inverse of Table.String.
func ParseTable(s string) (Table, error) {
	if t, ok := tableNames[s]; ok {
		return t, nil
	}
	return 0, fmt.Errorf("unknown table %q: use coil, discrete, holding, input or i2c", s)
}

// IsBits reports whether an address of t holds one bit.
func (t Table) IsBits() bool { return t == Coil || t == Discrete }

// ByteCount returns how many bytes a read of count addresses yields, in the
// form of a Modbus answer: bits are packed eight to a byte, lowest first.
func (t Table) ByteCount(count int) int {
	switch t {
	case Coil, Discrete:
		return (count + 7) / 8
	case Bytes:
		return count
	default:
		return 2 * count
	}
}

// Range is Count adjacent addresses of a table.
type Range struct {
	Table   Table
	Address uint16
	Count   uint16
}

// End returns the first address behind r.
func (r Range) End() int { return int(r.Address) + int(r.Count) }

// Contains reports whether all of s lies in r.
func (r Range) Contains(s Range) bool {
	return r.Table == s.Table && s.Address >= r.Address && s.End() <= r.End()
}

// Overlaps reports whether r and s share an address.
func (r Range) Overlaps(s Range) bool {
	return r.Table == s.Table && int(r.Address) < s.End() && int(s.Address) < r.End()
}

// String returns for example "input 72 to 73".
func (r Range) String() string {
	if r.Count == 1 {
		return fmt.Sprintf("%s %d", r.Table, r.Address)
	}
	return fmt.Sprintf("%s %d to %d", r.Table, r.Address, r.End()-1)
}

// hull returns the smallest range that holds r and s; both are of one table.
func hull(r, s Range) Range {
	lo, hi := min(r.Address, s.Address), max(r.End(), s.End())
	return Range{Table: r.Table, Address: lo, Count: uint16(hi - int(lo))}
}
