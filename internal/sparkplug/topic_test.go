package sparkplug

import (
	"strings"
	"testing"
)

func TestParseTopic(t *testing.T) {
	for s, want := range map[string]Topic{
		"spBv1.0/site/NBIRTH/gw":       {"site", NBIRTH, "gw", ""},
		"spBv1.0/site/NDEATH/gw":       {"site", NDEATH, "gw", ""},
		"spBv1.0/site/NDATA/gw":        {"site", NDATA, "gw", ""},
		"spBv1.0/site/NCMD/gw":         {"site", NCMD, "gw", ""},
		"spBv1.0/site/DBIRTH/gw/meter": {"site", DBIRTH, "gw", "meter"},
		"spBv1.0/site/DDEATH/gw/meter": {"site", DDEATH, "gw", "meter"},
		"spBv1.0/site/DDATA/gw/meter":  {"site", DDATA, "gw", "meter"},
		"spBv1.0/site/DCMD/gw/meter":   {"site", DCMD, "gw", "meter"},
		"spBv1.0/A site/DDATA/网关/电 表/": {},
		"spBv1.0/Plant 1/DDATA/网关/电 表": {"Plant 1", DDATA, "网关", "电 表"},
	} {
		got, err := ParseTopic(s)
		if want == (Topic{}) {
			if err == nil {
				t.Errorf("%s: accepted", s)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		if got.String() != s {
			t.Errorf("%s became %s", s, got)
		}
	}
}

func TestParseTopicRefuses(t *testing.T) {
	for s, want := range map[string]string{
		"":                                         "not below spBv1.0/",
		"spAv1.0/site/NDATA/gw":                    "not below spBv1.0/",
		"spBv1.0/site/NDATA":                       "3 levels below spBv1.0",
		"spBv1.0/site/NDATA/gw/meter":              "3 levels below spBv1.0",
		"spBv1.0/site/DDATA/gw":                    "4 levels below spBv1.0",
		"spBv1.0/site/DDATA/gw/a/b":                "too many levels",
		"spBv1.0/site/EVENT/gw":                    "unknown message type",
		"spBv1.0/site/ndata/gw":                    "unknown message type",
		"spBv1.0//NDATA/gw":                        "empty",
		"spBv1.0/site/NDATA/":                      "empty",
		"spBv1.0/+/NDATA/gw":                       "holds + or #",
		"spBv1.0/site/NDATA/#":                     "holds + or #",
		"spBv1.0/site/NDATA/\xff":                  "holds + or #",
		"spBv1.0/STATE/host":                       "unknown message type",
		"spBv1.0/" + strings.Repeat("x", MaxTopic): "at most 512",
	} {
		if _, err := ParseTopic(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want …%s…", s, err, want)
		}
	}
}

func TestStateTopic(t *testing.T) {
	if host, ok := ParseStateTopic(StateTopic("collector-1")); !ok || host != "collector-1" {
		t.Errorf("%q %v", host, ok)
	}
	for _, s := range []string{"spBv1.0/STATE/", "spBv1.0/STATE/a/b", "STATE/a", "spBv1.0/STATE/#"} {
		if _, ok := ParseStateTopic(s); ok {
			t.Errorf("%s: accepted", s)
		}
	}
}

func FuzzParseTopic(f *testing.F) {
	f.Add("spBv1.0/site/DDATA/gw/meter")
	f.Add("spBv1.0/site/NBIRTH/gw")
	f.Fuzz(func(t *testing.T, s string) {
		topic, err := ParseTopic(s)
		if err == nil && topic.String() != s {
			t.Errorf("%q became %q", s, topic)
		}
	})
}
