package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type schema struct {
	Ref         string            `json:"$ref"`
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	OneOf       []schema          `json:"oneOf"`
	Type        any               `json:"type"`
}

type document struct {
	OpenAPI string
	Info    struct{ Title, Version, Description string }
	Paths   map[string]map[string]struct {
		OperationID, Summary, Description string
		Security                          []map[string][]string
		Parameters                        []struct {
			Name, In, Description string
			Required              bool
			Schema                schema
		}
		Responses map[string]struct {
			Description string
			Content     map[string]struct{ Schema schema }
		}
	}
	Components struct {
		Schemas         map[string]schema
		SecuritySchemes map[string]any
	}
}

// TestOpenAPI: the document is the one in testdata, so that a change of the
// API is seen in review, and it says of every path, parameter and field what
// it means.
func TestOpenAPI(t *testing.T) {
	w := start(t)
	a := w.get("/openapi.json", "")
	golden(t, "openapi.json", a.body+"\n")
	doc := decode[document](t, a)
	if doc.OpenAPI != "3.1.0" || doc.Info.Version != "1.2.3" || doc.Info.Description == "" {
		t.Errorf("%s %+v", doc.OpenAPI, doc.Info)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			name := method + " " + path
			if op.OperationID == "" || op.Summary == "" || len(op.Description) < 20 {
				t.Errorf("%s: summary %q, description %q", name, op.Summary, op.Description)
			}
			for _, p := range op.Parameters {
				if p.Description == "" && p.Schema.Description == "" {
					t.Errorf("%s: parameter %s is not described", name, p.Name)
				}
			}
			for status, r := range op.Responses {
				if r.Description == "" {
					t.Errorf("%s: answer %s is not described", name, status)
				}
				for kind, c := range r.Content {
					check(t, doc, fmt.Sprintf("%s %s %s", name, status, kind), c.Schema)
				}
			}
			if strings.HasPrefix(path, "/api/v1/") && method == "get" && len(op.Security) == 0 {
				t.Errorf("%s needs no key", name)
			}
		}
	}
	for name, s := range doc.Components.Schemas {
		check(t, doc, name, s)
	}
	for _, path := range []string{"/api/v1/sites", "/api/v1/gateways", "/api/v1/devices", "/api/v1/points", "/api/v1/readings", "/api/v1/readings/latest", "/api/v1/stream", "/api/v1/session", "/healthz", "/readyz", "/metrics"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is not in the document", path)
		}
	}
}

// check reports properties without a meaning and references to nothing.
func check(t *testing.T, doc document, where string, s schema) {
	t.Helper()
	if s.Ref != "" {
		if _, ok := doc.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]; !ok {
			t.Errorf("%s: %s leads to nothing", where, s.Ref)
		}
	}
	for _, o := range s.OneOf {
		check(t, doc, where, o)
	}
	if s.Items != nil {
		check(t, doc, where, *s.Items)
	}
	for name, p := range s.Properties {
		if p.Description == "" && p.Ref == "" {
			t.Errorf("%s: field %s is not described", where, name)
		}
		check(t, doc, where+"."+name, p)
	}
}

// TestAnswersMatchTheDocument: the fields that are streamed by hand are those
// the document describes.
func TestAnswersMatchTheDocument(t *testing.T) {
	w := start(t)
	w.fill(meter, 20)
	doc := decode[document](t, w.get("/openapi.json", ""))
	for _, tc := range []struct{ schema, path string }{
		{"Reading", day + "&format=ndjson"},
		{"WindowReading", day + "&every=1h&function=max&format=ndjson"},
		{"ReadingsDocument", day + "&every=1h&function=max&format=json"},
	} {
		body := w.get(tc.path, "admin").body
		if strings.HasSuffix(tc.path, "ndjson") {
			body, _, _ = strings.Cut(body, "\n")
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		if got, want := sortedKeys(fields), sortedKeys(doc.Components.Schemas[tc.schema].Properties); !slices.Equal(got, want) {
			t.Errorf("%s is sent with %v and described with %v", tc.schema, got, want)
		}
	}
}

func sortedKeys[T any](m map[string]T) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
