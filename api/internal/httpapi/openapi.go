package httpapi

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed description.md
var descriptionText string

// description is the head of the OpenAPI document. Nothing is served by huma
// itself: no schema links, no documentation page from elsewhere.
func description(version string) huma.Config {
	c := huma.DefaultConfig("Yunhe API", version)
	c.Info.Description = descriptionText
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key":     {Type: "http", Scheme: "bearer", BearerFormat: "yh_<id>_<secret>", Description: "An API key, made with `yunhe key create`."},
		"session": {Type: "apiKey", In: "cookie", Name: sessionCookie, Description: "A session opened with POST /api/v1/session, for pages of the same origin."},
	}
	c.Tags = []*huma.Tag{
		{Name: "readings", Description: "Measured values, each with its own time, quality and clock flag"},
		{Name: "places", Description: "Sites, gateways, devices and points"},
		{Name: "session", Description: "Sessions for pages in a browser"},
		{Name: "operation", Description: "For those who run the server"},
	}
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.Transformers = []huma.Transformer{nameRequest}
	return c
}

// nameRequest writes the request id into every problem document.
func nameRequest(ctx huma.Context, _ string, v any) (any, error) {
	if m, ok := v.(*huma.ErrorModel); ok {
		m.Instance = instance(ctx.Context())
		if m.Detail == "validation failed" { // huma's word for its own findings
			m.Detail = sentences(m.Errors)
		}
		if m.Status == http.StatusUnauthorized {
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="yunhe"`)
		}
	}
	return v, nil
}

// sentences joins what huma found into the one sentence that people read.
func sentences(found []*huma.ErrorDetail) string {
	out := make([]string, len(found))
	for i, d := range found {
		out[i] = strings.TrimPrefix(d.Location, "query.") + ": " + d.Message
	}
	return strings.Join(out, "; ") + ". GET /openapi.json describes what is taken here."
}

// keyed marks an operation that needs a key or a session.
func keyed(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{"key": {}}, {"session": {}}}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusTooManyRequests)
	return op
}

// sited marks an operation that names a site.
func sited(op huma.Operation) huma.Operation {
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return keyed(op)
}

// response describes an answer that huma does not write itself.
func response(text string, content map[string]*huma.MediaType, headers map[string]*huma.Param) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: text, Content: content, Headers: headers}}
}

// schemaOf registers the schema of T.
func schemaOf[T any](api huma.API) *huma.Schema {
	return api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// wellFormed refuses a query whose meaning would be a guess: one that cannot
// be decoded, or that gives a parameter twice of which there is only one.
func (s *server) wellFormed(ctx huma.Context, next func(huma.Context)) {
	r, w := requestOf(ctx)
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		writeProblem(w, r, &huma.ErrorModel{Status: http.StatusUnprocessableEntity, Title: http.StatusText(http.StatusUnprocessableEntity),
			Detail: "The query cannot be decoded: write % as %25, + as %2B, ; as %3B."})
		return
	}
	for name, v := range values {
		if len(v) > 1 && name != "gateway" && name != "device" && name != "point" {
			writeProblem(w, r, &huma.ErrorModel{Status: http.StatusUnprocessableEntity, Title: http.StatusText(http.StatusUnprocessableEntity),
				Detail: fmt.Sprintf("%.64q is given %d times: give it once.", name, len(v))})
			return
		}
	}
	next(ctx)
}
