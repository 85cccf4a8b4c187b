package broker

import (
	"strings"

	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// AccountName is the name under which a gateway signs in at the broker, and
// its MQTT client id. Ids hold no dot, so a name is of one gateway.
func AccountName(site, gateway string) string { return site + "." + gateway }

// Accounts are the accounts of an installation: the collector's, and one a
// gateway, each with the topics it needs and no others. It is a Users for the
// embedded broker.
type Accounts struct {
	Collector string   // account name of the collector
	Host      string   // its Sparkplug host id
	Sites     []string // the sites it owns
	// Secret finds the password of an account.
	Secret func(name string) (Secret, bool)
}

// User returns the collector or a gateway of one of the sites.
func (a Accounts) User(name string) (User, bool) {
	secret, ok := a.Secret(name)
	if !ok {
		return User{}, false
	}
	var f sparkplug.Filters
	site, gateway, isGateway := strings.Cut(name, ".")
	switch {
	case name == a.Collector:
		f = sparkplug.HostFilters(a.Host, a.Sites)
	case isGateway && telemetry.CheckID(site) == nil && telemetry.CheckID(gateway) == nil:
		f = sparkplug.NodeFilters(site, gateway, a.Host)
	default:
		return User{}, false
	}
	return User{Name: name, Secret: secret, Publish: f.Publish, Subscribe: f.Subscribe}, true
}
