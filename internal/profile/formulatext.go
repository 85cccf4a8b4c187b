package profile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// text writes the formula without scale and offset, for example
//
//	u32                        an integer register
//	u16 + u16*1000             kWh and MWh registers
//	u32 sf                     × 10^n, n in the s16 register that follows
//	s16 dec select u16{7:1}    × 10^-n, then the scale chosen by a register
//	s32 times u16              × the register that follows
func (f *Formula) text() string {
	var b strings.Builder
	for i, t := range f.parts {
		if i > 0 {
			b.WriteString(" + ")
		}
		b.WriteString(t.String())
	}
	switch {
	case f.exponent > 0:
		b.WriteString(" sf")
	case f.exponent < 0:
		b.WriteString(" dec")
	}
	if f.choice != nil {
		b.WriteString(" select " + f.choice.operand.String() + "{")
		for i, k := range slices.Sorted(maps.Keys(f.choice.scales)) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(k + ":" + f.choice.scales[k].String())
		}
		b.WriteByte('}')
	}
	for _, t := range f.factors {
		b.WriteString(" times " + t.String())
	}
	return b.String()
}

func (t term) String() string {
	if t.weight.IsOne() {
		return t.operand.String()
	}
	return t.operand.String() + "*" + t.weight.String()
}

func (o operand) String() string {
	s := string(o.typ)
	if o.typ.text() {
		s += "/" + strconv.Itoa(o.size)
	}
	if o.bits != nil {
		s += fmt.Sprintf("[%d:%d]", o.bits.From, o.bits.Count)
	}
	return s
}

var (
	operandPattern = regexp.MustCompile(`^([a-z0-9]+)(?:/([0-9]{1,3}))?(?:\[([0-9]{1,2}):([0-9]{1,2})\])?(?:\*([-+0-9.e]+))?$`)
	selectKey      = regexp.MustCompile(`^[A-Za-z0-9.-]{1,16}$`)
)

// ParseFormula makes a formula from what a definition says about a point:
// register type, word order and scale. The offset is not part of it, and no
// counter has one.
func ParseFormula(registerType, wordOrder, scale string) (*Formula, error) {
	order, err := ParseOrder(wordOrder)
	if err != nil {
		return nil, fmt.Errorf("parse formula: %w", err)
	}
	f := &Formula{}
	if f.scale, err = ParseScale(scale); err != nil {
		return nil, fmt.Errorf("parse formula: %w", err)
	}
	if err := f.parse(strings.Fields(registerType), order); err != nil {
		return nil, fmt.Errorf("parse formula %q: %w", registerType, err)
	}
	return f, nil
}

// parse reads the words of the text: operands and what stands before them.
func (f *Formula) parse(words []string, order Order) error {
	if len(words) == 0 || len(words) > 64 {
		return fmt.Errorf("%d words, want 1 to 64", len(words))
	}
	role := "+"
	for i, w := range words {
		var err error
		switch {
		case role == "+":
			err = f.addTerm(&f.parts, w, order)
		case role == "times":
			err = f.addTerm(&f.factors, w, order)
		case role == "select":
			err = f.addChoice(w, order)
		case w == "sf" && f.exponent == 0:
			f.exponent = 1
		case w == "dec" && f.exponent == 0:
			f.exponent = -1
		case (w == "+" || w == "times" || w == "select") && i+1 < len(words):
			role = w
			continue
		default:
			err = fmt.Errorf("unexpected %q", w)
		}
		if err != nil {
			return err
		}
		role = ""
	}
	return nil
}

func (f *Formula) addTerm(list *[]term, w string, order Order) error {
	t, err := parseTerm(w, order)
	*list = append(*list, t)
	return err
}

func (f *Formula) addChoice(w string, order Order) error {
	head, rest, ok := strings.Cut(w, "{")
	t, err := parseTerm(head, order)
	if err != nil || !ok || f.choice != nil || !strings.HasSuffix(rest, "}") {
		return fmt.Errorf("bad select %q", w)
	}
	f.choice = &choice{operand: t.operand, scales: map[string]Decimal{}}
	for pair := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), ",") {
		k, v, _ := strings.Cut(pair, ":")
		d, err := ParseDecimal(v)
		if err != nil || !selectKey.MatchString(k) {
			return fmt.Errorf("bad select %q", w)
		}
		f.choice.scales[k] = d
	}
	return nil
}

// parseTerm reads an operand with its weight.
func parseTerm(w string, order Order) (term, error) {
	m := operandPattern.FindStringSubmatch(w)
	if m == nil || !RegisterType(m[1]).valid() {
		return term{}, fmt.Errorf("unknown type %q", w)
	}
	t := term{operand: operand{typ: RegisterType(m[1]), order: order}, weight: NewDecimal(1, 0)}
	t.size = typeSizes[t.typ]
	if t.typ.text() {
		t.size, _ = strconv.Atoi(m[2])
	}
	if t.size < 1 || (m[2] != "") != t.typ.text() {
		return term{}, fmt.Errorf("bad length in %q", w)
	}
	if m[3] != "" {
		from, _ := strconv.Atoi(m[3])
		count, _ := strconv.Atoi(m[4])
		if count < 1 || from+count > 8*t.size || !t.typ.integer() {
			return term{}, fmt.Errorf("bad bit field in %q", w)
		}
		t.bits = &Bits{uint8(from), uint8(count)}
	}
	if m[5] != "" {
		d, err := ParseDecimal(m[5])
		if err != nil {
			return term{}, err
		}
		t.weight = d
	}
	return t, nil
}
