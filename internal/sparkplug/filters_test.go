package sparkplug

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNodeFilters(t *testing.T) {
	want := Filters{
		Publish: []string{
			"spBv1.0/site-a/NBIRTH/gw-1", "spBv1.0/site-a/NDEATH/gw-1", "spBv1.0/site-a/NDATA/gw-1",
			"spBv1.0/site-a/DBIRTH/gw-1/+", "spBv1.0/site-a/DDEATH/gw-1/+", "spBv1.0/site-a/DDATA/gw-1/+",
		},
		Subscribe: []string{"spBv1.0/site-a/NCMD/gw-1", "spBv1.0/site-a/DCMD/gw-1/+", "spBv1.0/STATE/host"},
	}
	if diff := cmp.Diff(want, NodeFilters("site-a", "gw-1", "host")); diff != "" {
		t.Error(diff)
	}
}

func TestHostFilters(t *testing.T) {
	want := Filters{
		Publish:   []string{"spBv1.0/STATE/host", "spBv1.0/site-a/NCMD/+"},
		Subscribe: []string{"spBv1.0/STATE/host", "spBv1.0/site-a/#"},
	}
	if diff := cmp.Diff(want, HostFilters("host", []string{"site-a"})); diff != "" {
		t.Error(diff)
	}
}
