package profile

import (
	"maps"
	"slices"
	"strings"

	"yunhe/internal/strictyaml"
	"yunhe/internal/telemetry"
)

// shape is a mapping of the profile format: its keys and what each may hold.
// The reader takes its keys and bounds from here and the JSON Schema in
// firmware-config/schema is written from it, so the two cannot differ.
type shape map[string]schema

func (s shape) keys() []string { return sortedKeys(s) }

// and returns s with the keys of t.
func (s shape) and(t shape) shape {
	both := maps.Clone(s)
	maps.Copy(both, t)
	return both
}

// schema is the part of JSON Schema 2020-12 that describes a profile.
type schema struct {
	Type        []string          `json:"type,omitempty"`
	Enum        []string          `json:"enum,omitempty"`
	Minimum     *uint64           `json:"minimum,omitempty"`
	Maximum     *uint64           `json:"maximum,omitempty"`
	Pattern     string            `json:"pattern,omitempty"` // of a text
	Items       *schema           `json:"items,omitempty"`
	MinItems    int               `json:"minItems,omitempty"`
	MaxItems    int               `json:"maxItems,omitempty"`
	Properties  shape             `json:"properties,omitempty"`
	Others      map[string]schema `json:"patternProperties,omitempty"` // by pattern of the key
	Extra       *bool             `json:"additionalProperties,omitempty"`
	Required    []string          `json:"required,omitempty"`
	OneOf       []schema          `json:"oneOf,omitempty"`
	Default     any               `json:"default,omitempty"`
	Description string            `json:"description,omitempty"`
}

func words[K ~string, T any](m map[K]T) schema {
	return schema{Type: []string{"string"}, Enum: sortedKeys(m)}
}

func text(pattern string) schema { return schema{Type: []string{"string"}, Pattern: pattern} }

func integer(lo, hi uint64) schema {
	return schema{Type: []string{"integer"}, Minimum: &lo, Maximum: &hi}
}

func listOf(lo, hi int, of schema) schema {
	return schema{Type: []string{"array"}, Items: &of, MinItems: lo, MaxItems: hi}
}

func mapping(s shape, required ...string) schema {
	open := false
	return schema{Type: []string{"object"}, Properties: s, Extra: &open, Required: required}
}

func mapOf(keys string, of schema) schema {
	open := false
	return schema{Type: []string{"object"}, Others: map[string]schema{keys: of}, Extra: &open}
}

// with demands exactly one of some keys.
func (s schema) with(keys ...string) schema {
	for _, k := range keys {
		s.OneOf = append(s.OneOf, schema{Required: []string{k}})
	}
	return s
}

// says adds a description for people.
func (s schema) says(text string) schema {
	s.Description = text
	return s
}

// unless adds what holds when the key is left out.
func (s schema) unless(value any) schema {
	s.Default = value
	return s
}

func (s schema) bounds() (lo, hi uint64) {
	if s.Minimum != nil {
		lo = *s.Minimum
	}
	if s.Maximum != nil {
		hi = *s.Maximum
	}
	return lo, hi
}

// object is a mapping of a file with its shape.
type object struct {
	strictyaml.Object
	shape shape
}

// read reads a mapping by its shape. A key without a value is a fault:
// absence and emptiness are not the same.
func (s shape) read(n strictyaml.Node) object {
	o := object{n.Object(s.keys()...), s}
	for _, k := range o.Keys() {
		if v := o.At(k); !v.Present() {
			v.Fault("has no value: give one or remove the key")
		}
	}
	return o
}

// whole reads a whole number within the bounds of the key's schema.
func whole[T ~int | ~uint8 | ~uint16 | ~uint64](o object, key string, to *T) {
	if n := o.At(key); n.Present() {
		u := uint64(*to)
		lo, hi := o.shape[key].bounds()
		n.Uint(&u, lo, hi)
		*to = T(u)
	}
}

var (
	flagged  = schema{Type: []string{"boolean"}}
	sentence = text("").says("a sentence for people")
	register = integer(0, 65535).says("zero-based PDU address, the number on the wire")
	decimal  = schema{Type: []string{"number", "string"}, Pattern: decimalPattern.String()}
	scaling  = schema{Type: []string{"number", "string"}, Pattern: strings.TrimSuffix(decimalPattern.String(), "$") + `( ?/ ?[1-9][0-9]{0,9})?$`}.
			says("exact decimal, or for gauges a fraction such as 2500000/9")
	rawValue = schema{Type: []string{"integer", "string"}, Pattern: `^(nan|empty|-?[0-9]+|0x[0-9A-Fa-f]+)$`}
	pointRef = text(`^[a-z][a-z0-9_]{0,62}$`)
	period   = text(`^[0-9.]+(ns|us|µs|ms|s|m)([0-9.]+(ms|s))*$`)
	table    = words(tableNames)

	bitsShape = shape{"from": integer(0, 63).unless(0), "count": integer(1, 64).unless(1)}

	areaShape = shape{"table": table, "from": register, "to": register, "single": flagged.unless(false)}

	sourceShape = shape{
		"table": table, "address": register,
		"words":      listOf(1, 4, register).says("registers of one value that are not adjacent, most significant first"),
		"type":       words(typeSizes),
		"length":     integer(1, 125).says("registers (I2C: bytes) of a string or hex"),
		"word_order": words(wordOrders), "byte_order": words(byteOrders),
		"bits": mapping(bitsShape),
	}

	partShape = shape{
		"address": register, "type": words(typeSizes), "scale": decimal.unless(1), "bits": mapping(bitsShape),
		"na": listOf(0, 0, rawValue),
	}

	selectShape = shape{
		"address": register, "type": words(typeSizes), "length": integer(1, 125),
		"scales": mapOf(selectKey.String(), decimal),
	}

	pointShape = sourceShape.and(shape{
		"name":         pointRef.says("not time, site, gateway, device or clock_failed, and no ending _q"),
		"quantity":     schema{Type: []string{"string"}, Enum: quantityNames()},
		"note":         sentence,
		"parts":        listOf(2, 8, mapping(partShape, "address")).says("addends that come from one read"),
		"scale":        scaling.unless(1),
		"offset":       decimal.unless(0),
		"scale_factor": register.says("s16 register with a power of ten"),
		"decimals":     register.says("u16 register with a count of decimals"),
		"select":       mapping(selectShape, "address", "scales"),
		"times":        listOf(1, 0, pointRef),
		"na":           listOf(0, 0, rawValue).says("raw values that mean: not available"),
		"counter_bits": integer(0, 64).says("width at which a counter wraps; 0: never"),
		"reset":        words(resetNames),
		"restart":      pointRef,
		"enum":         mapOf(`^([0-9]+|0x[0-9A-Fa-f]+)$`, text("")),
		"destructive":  flagged.unless(false),
		"enabled":      flagged,
		"group":        words(groupNames).unless("fast"),
		"confidence":   words(confidences),
	})

	pointSchema = mapping(pointShape, "name", "quantity").with("address", "words", "parts")

	stepShape = sourceShape.and(shape{
		"note": sentence, "mask": integer(1, 1<<64-1),
		"equals":  listOf(1, 0, schema{Type: []string{"integer", "string"}}),
		"between": listOf(2, 2, decimal),
	})

	identityField = mapping(sourceShape).with("address", "words")
	identityShape = shape{
		string(IDManufacturer): identityField, string(IDModel): identityField,
		string(IDSerial): identityField, string(IDFirmware): identityField,
	}

	serialShape = shape{
		"baud": integer(300, 1_000_000), "data_bits": integer(7, 8).unless(8), "stop_bits": integer(1, 2).unless(1),
		"parity": words(parities).unless("none"),
	}

	linkShape = shape{
		"protocol":      words(protocols),
		"unit_id":       integer(1, 255),
		"max_registers": integer(1, 256).says("most registers (I2C: bytes) in one read; 125 where no limit is known"),
		"max_bits":      integer(1, 2000).unless(defaultMaxBits),
		"even":          flagged.unless(false),
		"gap_fill":      integer(0, 124).unless(0),
		"min_gap":       period, "connect_delay": period, "unit_pause": period,
		"timeout":       period.unless(defaultTimeout.String()),
		"retries":       integer(0, 10),
		"busy_retries":  integer(0, 20),
		"max_clients":   integer(1, 1000),
		"night_offline": flagged.unless(false),
		"serial":        mapping(serialShape, "baud"),
		"i2c_address":   integer(8, 0x77),
		"i2c_clock_hz":  integer(1000, 3_400_000),
	}

	profileShape = shape{
		"profile": text(`^[a-z0-9][a-z0-9-]{0,62}$`), "version": integer(1, 1<<30),
		"kind":   schema{Type: []string{"string"}, Enum: kinds},
		"vendor": text(""), "model": text(""), "note": sentence,
		"table": table, "word_order": words(wordOrders), "byte_order": words(byteOrders),
		"link":     mapping(linkShape, "protocol", "max_registers"),
		"areas":    listOf(0, 0, mapping(areaShape, "from", "to")),
		"match":    listOf(0, 0, mapping(stepShape).with("address", "words")),
		"identity": mapping(identityShape),
		"points":   listOf(1, 2000, pointSchema),
		"atomic":   listOf(0, 0, listOf(2, 0, pointRef)),
		"sources":  listOf(1, 0, text("")),

		"confidence": words(confidences),
	}

	profileSchema = mapping(profileShape,
		"profile", "version", "kind", "vendor", "model", "link", "points", "confidence", "sources")
)

func quantityNames() []string {
	var names []string
	for _, q := range telemetry.Quantities() {
		names = append(names, string(q.Quantity))
	}
	slices.Sort(names)
	return names
}
