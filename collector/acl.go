package collector

import (
	"fmt"
	"slices"
	"strings"

	"yunhe/internal/sparkplug"
	"yunhe/internal/telemetry"
)

// ACLUser is one MQTT user that is a gateway.
type ACLUser struct {
	User          string // MQTT user name; unique, no white space
	Site, Gateway string
}

// GatewayACL returns a mosquitto acl_file: one literal block a gateway, so that
// a stolen credential writes its own topics only, and the block of the
// collector's user, who reads its sites and commands their gateways. host is
// the collector's Sparkplug host id.
func GatewayACL(collectorUser, host string, sites []string, gateways []ACLUser) (string, error) {
	if err := checkACL(collectorUser, host, sites, gateways); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Written by `yunhe gateway acl`. Whoever is not named here may do nothing.\n")
	block(&b, "the collector "+host, collectorUser, sparkplug.HostFilters(host, sites))
	sorted := slices.Clone(gateways)
	slices.SortFunc(sorted, func(a, b ACLUser) int {
		return strings.Compare(a.Site+"/"+a.Gateway, b.Site+"/"+b.Gateway)
	})
	for _, g := range sorted {
		block(&b, "gateway "+g.Gateway+" of site "+g.Site, g.User, sparkplug.NodeFilters(g.Site, g.Gateway, host))
	}
	return b.String(), nil
}

// block writes the rights of one user.
func block(b *strings.Builder, comment, user string, f sparkplug.Filters) {
	fmt.Fprintf(b, "\n# %s\nuser %s\n", comment, user)
	for _, t := range f.Publish {
		fmt.Fprintf(b, "topic write %s\n", t)
	}
	for _, t := range f.Subscribe {
		fmt.Fprintf(b, "topic read %s\n", t)
	}
}

func checkACL(collectorUser, host string, sites []string, gateways []ACLUser) error {
	if err := telemetry.CheckID(host); err != nil {
		return fmt.Errorf("write acl: host: %w", err)
	}
	for _, s := range sites {
		if err := telemetry.CheckID(s); err != nil {
			return fmt.Errorf("write acl: site: %w", err)
		}
	}
	users := map[string]bool{}
	for _, u := range append([]ACLUser{{User: collectorUser, Site: host, Gateway: host}}, gateways...) {
		switch {
		case u.User == "" || len(u.User) > 128 || strings.ContainsFunc(u.User, func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f }):
			return fmt.Errorf("write acl: %q is no MQTT user name: use 1 to 128 characters without spaces and #", u.User)
		case users[u.User]:
			return fmt.Errorf("write acl: the user %q is named twice: each gateway needs a user of its own", u.User)
		}
		users[u.User] = true
		if err := telemetry.CheckID(u.Site); err != nil {
			return fmt.Errorf("write acl: user %s: site: %w", u.User, err)
		}
		if err := telemetry.CheckID(u.Gateway); err != nil {
			return fmt.Errorf("write acl: user %s: gateway: %w", u.User, err)
		}
	}
	return nil
}
