package httpapi

import "time"

// Name is a name for people in both languages.
type Name struct {
	EN string `json:"en" doc:"English"`
	ZH string `json:"zh" doc:"Chinese"`
}

// Site is one property.
type Site struct {
	ID   string `json:"id" doc:"Id of the site"`
	Name Name   `json:"name" doc:"Name for people"`
	Zone string `json:"zone" doc:"IANA zone; it decides where days, months and years begin, and nothing else"`
}

// Clock is what a gateway says about its clock.
type Clock struct {
	State    string `json:"state" enum:"S,U,I,R" doc:"S synchronised, I from a clock chip nothing has checked, R was synchronised and runs free, U unknown"`
	OffsetMS *int64 `json:"offset_ms" doc:"Estimated error of the clock, milliseconds; null if unknown"`
}

// LastError is the last thing that went wrong.
type LastError struct {
	Text string     `json:"text" doc:"What the gateway reported, or what the collector refused"`
	Time *time.Time `json:"time" doc:"When; null if unknown"`
}

// Gateway is one box and how it fares.
type Gateway struct {
	Site      string     `json:"site" doc:"Id of the site"`
	Gateway   string     `json:"gateway" doc:"Id of the gateway"`
	Listed    bool       `json:"listed" doc:"The catalog lists it"`
	Unsigned  bool       `json:"unsigned" doc:"Another Sparkplug node: it signs nothing, its readings prove nothing"`
	Online    bool       `json:"online" doc:"Its connection to the broker stands"`
	LastSeen  *time.Time `json:"last_seen" doc:"When its last message arrived; null if never"`
	AgeS      *float64   `json:"last_seen_age_s" doc:"Seconds from last_seen to the time of this answer"`
	Clock     *Clock     `json:"clock" doc:"State of its clock; null if it never told"`
	Backlog   uint64     `json:"backlog" doc:"Journal entries not yet acknowledged by the collector"`
	Firmware  string     `json:"firmware" doc:"Version of the agent; empty if it never told"`
	LastError *LastError `json:"last_error" doc:"Null if there is none"`
	Keys      []string   `json:"keys" nullable:"false" doc:"Fingerprints of its enrolled, valid signing keys"`
}

// Device is one thing on a bus.
type Device struct {
	Site           string     `json:"site" doc:"Id of the site"`
	Gateway        string     `json:"gateway" doc:"Id of the gateway that reads it"`
	Device         string     `json:"device" doc:"Id of the device"`
	Listed         bool       `json:"listed" doc:"The catalog lists it"`
	Unsigned       bool       `json:"unsigned" doc:"Of a node that signs nothing"`
	Name           *Name      `json:"name" doc:"From the catalog; null if it is not listed"`
	Placement      string     `json:"placement" doc:"Where to find it, from the catalog"`
	Kind           string     `json:"kind" doc:"Kind of device, e.g. heat_pump; empty if it has not reported yet"`
	Profile        string     `json:"profile" doc:"Profile it is read with"`
	ProfileVersion int        `json:"profile_version" doc:"Version of the profile"`
	Vendor         string     `json:"vendor" doc:"As the device says, or as its profile says"`
	Model          string     `json:"model" doc:"As the device says, or as its profile says"`
	Serial         string     `json:"serial" doc:"As read from the device"`
	Firmware       string     `json:"firmware" doc:"As read from the device"`
	Definition     string     `json:"definition" doc:"SHA-256 of the signed definition, hex"`
	LastReading    *time.Time `json:"last_reading" doc:"Time of its newest stored reading; null if none"`
	AgeS           *float64   `json:"last_reading_age_s" doc:"Seconds from last_reading to the time of this answer"`
}

// Point is one measured value of a device.
type Point struct {
	Site         string `json:"site" doc:"Id of the site"`
	Gateway      string `json:"gateway" doc:"Id of the gateway"`
	Device       string `json:"device" doc:"Id of the device"`
	Name         string `json:"name" doc:"Name of the point within its device"`
	Quantity     string `json:"quantity" doc:"What is measured"`
	Title        *Name  `json:"title" doc:"The quantity for people; null for a quantity of no vocabulary"`
	Unit         string `json:"unit" doc:"UCUM code of the unit, e.g. kW.h, Cel, mm; 1 for a number without unit"`
	Class        string `json:"class" doc:"gauge (a momentary value), counter (grows, differences count) or status"`
	Type         string `json:"type" doc:"float, uint, bool or string"`
	Table        string `json:"table" doc:"Register table it is read from"`
	Address      uint32 `json:"address" doc:"Register, zero-based PDU address"`
	RegisterType string `json:"register_type" doc:"Type of the register, e.g. f32"`
	WordOrder    string `json:"word_order" doc:"Order of its words"`
	Scale        string `json:"scale" doc:"Decimal factor from register to unit"`
	CounterBits  uint8  `json:"counter_bits" doc:"Width at which the counter rolls over; 0 if it is none"`
}
