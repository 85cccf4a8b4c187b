// Package firmwareconfig holds what is put on gateways: the device profiles.
package firmwareconfig

import "embed"

// Profiles holds profiles/<id>.yaml, one file a device model, in the format of
// docs/formats/profile.md.
//
//go:embed profiles/*.yaml
var Profiles embed.FS
