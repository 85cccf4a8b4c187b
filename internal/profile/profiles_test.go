package profile_test

import (
	"testing"

	firmwareconfig "yunhe/firmware-config"
	"yunhe/internal/profile"
)

func load(t testing.TB, id string) *profile.Profile {
	t.Helper()
	name := "profiles/" + id + ".yaml"
	text, err := firmwareconfig.Profiles.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(name, text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return p
}

func TestEveryEmbeddedProfileParses(t *testing.T) {
	files, err := firmwareconfig.Profiles.ReadDir("profiles")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d profiles, %v", len(files), err)
	}
	for _, f := range files {
		id := f.Name()[:len(f.Name())-len(".yaml")]
		p := load(t, id)
		if p.ID != id {
			t.Errorf("%s holds profile %q: the file is named by the id", f.Name(), p.ID)
		}
		if pl, err := p.Plan(profile.Options{}); err != nil || len(pl.Blocks) == 0 {
			t.Errorf("%s: the plan reads %v, %v", id, pl.Blocks, err)
		}
	}
}
