package profile

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Decimal is an exact decimal number: an integer times a power of ten. The
// zero Decimal is 0. Decimals are values: no operation changes its operands.
type Decimal struct {
	coef *big.Int // nil: 0
	exp  int
}

var decimalPattern = regexp.MustCompile(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$`)

// ParseDecimal reads text like 0.001, -9999 or 1e-3.
func ParseDecimal(s string) (Decimal, error) {
	if !decimalPattern.MatchString(s) {
		return Decimal{}, fmt.Errorf("%q is not a decimal number: write it like 0.001 or 1e-3", s)
	}
	mant, expText, _ := strings.Cut(strings.ToLower(s), "e")
	exp := 0
	if expText != "" {
		exp, _ = strconv.Atoi(expText) // two digits: cannot fail
	}
	whole, frac, _ := strings.Cut(mant, ".")
	coef, _ := new(big.Int).SetString(strings.TrimPrefix(whole, "+")+frac, 10) // digits only: cannot fail
	return Decimal{coef, exp - len(frac)}.normal(), nil
}

// NewDecimal returns i × 10^exp.
func NewDecimal(i int64, exp int) Decimal { return Decimal{big.NewInt(i), exp}.normal() }

// DecimalFromFloat returns the exact value of f: a binary fraction always has
// a finite decimal form. ok is false for NaN and infinities.
func DecimalFromFloat(f float64) (d Decimal, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Decimal{}, false
	}
	frac, exp := math.Frexp(f)
	coef := big.NewInt(int64(frac * (1 << 53)))
	exp -= 53
	if exp >= 0 {
		return Decimal{coef.Lsh(coef, uint(exp)), 0}.normal(), true
	}
	tz := coef.TrailingZeroBits() // fewer digits to carry: 0.5 becomes 5e-1
	if coef.Sign() == 0 {
		return Decimal{}, true
	}
	tz = min(tz, uint(-exp))
	coef.Rsh(coef, tz)
	exp += int(tz)
	five := new(big.Int).Exp(big.NewInt(5), big.NewInt(int64(-exp)), nil)
	return Decimal{coef.Mul(coef, five), exp}.normal(), true // x / 2^n = x × 5^n / 10^n
}

var bigTen = big.NewInt(10) // only read

// normal strips trailing zeros, so that equal numbers are equal in form.
func (d Decimal) normal() Decimal {
	if d.coef == nil || d.coef.Sign() == 0 {
		return Decimal{}
	}
	coef, exp := new(big.Int).Set(d.coef), d.exp
	var rem big.Int
	for {
		q, r := new(big.Int).QuoRem(coef, bigTen, &rem)
		if r.Sign() != 0 {
			return Decimal{coef, exp}
		}
		coef, exp = q, exp+1
	}
}

func (d Decimal) int() *big.Int {
	if d.coef == nil {
		return new(big.Int)
	}
	return d.coef
}

// Mul returns d × e, exactly.
func (d Decimal) Mul(e Decimal) Decimal {
	return Decimal{new(big.Int).Mul(d.int(), e.int()), d.exp + e.exp}.normal()
}

// Add returns d + e, exactly.
func (d Decimal) Add(e Decimal) Decimal {
	if d.coef == nil {
		return e
	}
	if e.coef == nil {
		return d
	}
	if d.exp < e.exp {
		d, e = e, d
	}
	a := new(big.Int).Mul(d.coef, pow10(d.exp-e.exp))
	return Decimal{a.Add(a, e.coef), e.exp}.normal()
}

// Neg returns -d.
func (d Decimal) Neg() Decimal { return Decimal{new(big.Int).Neg(d.int()), d.exp}.normal() }

// Shift returns d × 10^n.
func (d Decimal) Shift(n int) Decimal {
	if d.coef == nil {
		return d
	}
	return Decimal{d.coef, d.exp + n}
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int { return d.int().Sign() }

// IsOne reports whether d is 1.
func (d Decimal) IsOne() bool {
	return d.exp == 0 && d.coef != nil && d.coef.IsInt64() && d.coef.Int64() == 1
}

// Equal reports whether d and e are the same number.
func (d Decimal) Equal(e Decimal) bool { return d.exp == e.exp && d.int().Cmp(e.int()) == 0 }

// Rat returns d as a rational number.
func (d Decimal) Rat() *big.Rat {
	if d.exp >= 0 {
		return new(big.Rat).SetInt(new(big.Int).Mul(d.int(), pow10(d.exp)))
	}
	return new(big.Rat).SetFrac(d.int(), pow10(-d.exp))
}

// Float64 returns the float64 nearest to d.
func (d Decimal) Float64() float64 {
	f, _ := strconv.ParseFloat(d.int().String()+"e"+strconv.Itoa(d.exp), 64) // out of range: an infinity
	return f
}

// String writes d without an exponent: 0.001, 1000, -0.5.
func (d Decimal) String() string {
	digits := d.int().String()
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	switch {
	case d.exp >= 0:
		digits += strings.Repeat("0", d.exp)
	case len(digits) > -d.exp:
		digits = digits[:len(digits)+d.exp] + "." + digits[len(digits)+d.exp:]
	default:
		digits = "0." + strings.Repeat("0", -d.exp-len(digits)) + digits
	}
	return sign + digits
}

func pow10(n int) *big.Int { return new(big.Int).Exp(bigTen, big.NewInt(int64(n)), nil) }

// Scale is the factor between a register and its unit: a decimal, or for
// gauges a fraction such as 2500000/9 (GJ/h to W).
type Scale struct {
	Num Decimal
	Den uint32 // 0 and 1: none
}

// ParseScale reads a decimal number or a fraction of two.
func ParseScale(s string) (Scale, error) {
	num, den, frac := strings.Cut(s, "/")
	d, err := ParseDecimal(strings.TrimSpace(num))
	if err != nil {
		return Scale{}, err
	}
	if d.Sign() == 0 {
		return Scale{}, errors.New("a scale of 0 would make every reading 0")
	}
	if !frac {
		return Scale{Num: d}, nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(den), 10, 32)
	if err != nil || n == 0 {
		return Scale{}, fmt.Errorf("%q is not a scale: below the line of a fraction stands a whole number from 1", s)
	}
	return Scale{Num: d, Den: uint32(n)}, nil
}

// Exact reports whether s is a decimal number, not a fraction.
func (s Scale) Exact() bool { return s.Den <= 1 }

// String writes s in the form ParseScale reads.
func (s Scale) String() string {
	if s.Exact() {
		return s.Num.String()
	}
	return s.Num.String() + "/" + strconv.FormatUint(uint64(s.Den), 10)
}

// Equal reports whether s and t are written alike.
func (s Scale) Equal(t Scale) bool { return s.String() == t.String() }
