package broker

import "testing"

func TestAccounts(t *testing.T) {
	secret, err := NewSecret("x")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"collector": true, "site-a.gw-1": true, "site-a.#": true, "stray": true}
	a := Accounts{Collector: "collector", Host: "host", Sites: []string{"site-a"},
		Secret: func(name string) (Secret, bool) { return secret, known[name] }}
	tests := []struct {
		name, topic string
		write, want bool
	}{
		{"collector", "spBv1.0/site-a/NCMD/gw-1", true, true},
		{"collector", "spBv1.0/site-b/NCMD/gw-1", true, false},
		{"collector", "spBv1.0/site-a/DDATA/gw-1/meter", true, false},
		{"site-a.gw-1", "spBv1.0/site-a/DDATA/gw-1/meter", true, true},
		{"site-a.gw-1", "spBv1.0/site-a/DDATA/gw-2/meter", true, false},
		{"site-a.gw-1", "spBv1.0/STATE/host", true, false},
		{"site-a.gw-1", "spBv1.0/STATE/host", false, true},
		{"site-a.#", "spBv1.0/site-a/NCMD/gw-1", false, false},
		{"stray", "spBv1.0/site-a/NBIRTH/gw-1", true, false},
		{"site-a.gw-9", "spBv1.0/site-a/NBIRTH/gw-9", true, false},
	}
	for _, tt := range tests {
		u, ok := a.User(tt.name)
		filters := u.Subscribe
		if tt.write {
			filters = u.Publish
		}
		if got := ok && allowed(filters, tt.topic); got != tt.want {
			t.Errorf("%s on %s, write %v: %v, want %v", tt.name, tt.topic, tt.write, got, tt.want)
		}
	}
}
