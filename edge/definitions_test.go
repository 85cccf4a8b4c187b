package edge

import (
	"os"
	"path/filepath"
	"testing"

	"yunhe/edge/internal/poll"
	"yunhe/internal/evidence"
	"yunhe/internal/telemetry"
)

// What a power cut or a full disk left of a definition is written anew, so
// that a collector that asks for it is answered.
func TestDefinitionIsMended(t *testing.T) {
	d := definitions{filepath.Join(t.TempDir(), "definitions")}
	m, err := poll.NewMeaning(evidence.Definition{Site: "s", Gateway: "g", Device: "m", Kind: "meter", Profile: "p", ProfileVersion: 1, ProfileHash: evidence.Hash{1},
		Points: []evidence.PointDef{{Name: "active_power", Quantity: "active_power", Unit: "W", Class: telemetry.Gauge, Type: telemetry.TypeFloat, Table: "input", RegisterType: "f32", WordOrder: "ABCD"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func(path string) error{
		func(string) error { return nil },
		func(path string) error { return os.Truncate(path, 0) },
		func(path string) error { return os.WriteFile(path, m.Data[:10], 0o600) },
		os.Remove,
	} {
		if err := d.keep(m.Hash, m.Data); err != nil {
			t.Fatal(err)
		}
		if err := damage(d.path(m.Hash)); err != nil {
			t.Fatal(err)
		}
		if err := d.keep(m.Hash, m.Data); err != nil {
			t.Fatal(err)
		}
		if def, _, err := d.find(m.Hash); err != nil || def.Device != "m" {
			t.Errorf("after damage: %v %v", def, err)
		}
	}
}
