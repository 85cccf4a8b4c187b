package edge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"yunhe/edge/internal/bus"
	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
)

// profileName is the form of a profile's name; it becomes a file name.
var profileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// loadProfile finds a profile by name: in ProfileDir if it is there, else
// among the embedded ones. It returns nil for SunSpec, which is discovered.
func (c Config) loadProfile(name string) (*profile.Profile, error) {
	if name == SunSpec {
		return nil, nil
	}
	if !profileName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a profile: use a-z, 0-9 and -", name)
	}
	file := name + ".yaml"
	if c.ProfileDir != "" {
		path := filepath.Join(c.ProfileDir, file)
		text, err := os.ReadFile(path)
		if err == nil {
			return profile.Parse(path, text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read profile: %w", err)
		}
	}
	text, err := firmwareconfig.Profiles.ReadFile("profiles/" + file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no profile %q: use sunspec, one of %s, or put %s into profile_dir", name, strings.Join(embeddedProfiles(), ", "), file)
	}
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return profile.Parse(file, text)
}

// embeddedProfiles returns the names of the profiles in this program.
func embeddedProfiles() []string {
	paths, _ := fs.Glob(firmwareconfig.Profiles, "profiles/*.yaml")
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(strings.TrimPrefix(p, "profiles/"), ".yaml")
	}
	slices.Sort(paths)
	return paths
}

// resolved is a device with what the profiles say about it.
type resolved struct {
	Device
	profile *profile.Profile // nil: SunSpec
	link    profile.Link
	unit    uint8 // or I2C address
}

// resolve finds the profiles of all devices and reports every fault.
func (c Config) resolve() ([]resolved, error) {
	kinds := map[string]bus.Kind{}
	for _, b := range c.Buses {
		address, err := bus.ParseAddress(b.Address)
		if err != nil {
			return nil, err
		}
		kinds[b.ID] = address.Kind
	}
	var out []resolved
	var errs []error
	known := map[string]*profile.Profile{} // devices of one model share it
	for i, d := range c.Devices {
		r, err := c.resolveDevice(d, kinds[d.Bus], known)
		if err != nil {
			errs = append(errs, fmt.Errorf("devices[%d] %s: %w", i, d.ID, err))
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

// resolveDevice finds the profile of one device in known, which it adds to.
func (c Config) resolveDevice(d Device, kind bus.Kind, known map[string]*profile.Profile) (resolved, error) {
	r := resolved{Device: d, unit: d.Unit, link: profile.Link{Protocol: profile.Modbus}}
	p, seen := known[d.Profile]
	if !seen {
		var err error
		if p, err = c.loadProfile(d.Profile); err != nil {
			return r, err
		}
		known[d.Profile] = p
	}
	protocol := profile.Modbus
	if p != nil {
		r.profile, r.link = p, p.Link
		protocol = p.Link.Protocol
		if _, err := p.Plan(profile.Options{Enable: d.Points}); err != nil {
			return r, fmt.Errorf("points: %w", err)
		}
	}
	if kind == bus.I2C {
		r.unit = d.I2CAddress
	}
	if (protocol == profile.I2C) != (kind == bus.I2C) {
		return r, fmt.Errorf("profile %s speaks %s, which bus %s (%s) does not", d.Profile, protocol, d.Bus, kind)
	}
	return r, nil
}
