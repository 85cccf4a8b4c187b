package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"yunhe/api/internal/query"
)

// Texts that are the same for every caller, so that they tell nothing.
const (
	textInternal = "The request could not be answered because of a fault on this server. Report the instance to its operator."
	textBusy     = "The store behind this API does not answer at present. Try again in a minute."
	textTimeout  = "The answer took too long. Ask for fewer sites or a shorter range."
	textNoSite   = "This key reads no site of that name. GET /api/v1/sites lists the sites it reads."
	textNoKey    = "A valid API key is needed: send Authorization: Bearer yh_…, or open a session with POST /api/v1/session."
	textNoPath   = "There is nothing at this path. GET /openapi.json describes every path there is."
)

// problem is an error that is a sentence for the caller.
func problem(status int, text string, details ...error) error {
	m := &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: text}
	for _, d := range details {
		m.Add(d)
	}
	return m
}

// noSite is the one answer about every site a key does not read, whether
// there is such a site or not.
func noSite() error { return problem(http.StatusNotFound, textNoSite) }

// paramProblem turns the faults of a request into a problem.
func paramProblem(err error) error {
	var fs query.Faults
	if !errors.As(err, &fs) {
		return err
	}
	status, where := http.StatusUnprocessableEntity, "query."
	if len(fs) == 1 && fs[0].Param == query.NotAcceptable {
		status, where = http.StatusNotAcceptable, "header."
	}
	details := make([]error, len(fs))
	for i, f := range fs {
		d := &huma.ErrorDetail{Location: where + f.Param, Message: f.Text}
		if f.Given != "" {
			d.Value = f.Given
		}
		details[i] = d
	}
	return problem(status, fs.Error(), details...)
}

// public returns what a caller may see of err; anything that is not written
// for the caller is logged under the request id and becomes a fixed text.
func (s *server) public(ctx context.Context, err error) *huma.ErrorModel {
	var m *huma.ErrorModel
	if errors.As(err, &m) {
		return m
	}
	status, text := http.StatusInternalServerError, textInternal
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusGatewayTimeout, textTimeout
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		status = 499 // nobody is there to read it; for the log
	case errors.Is(err, errStore):
		status, text = http.StatusServiceUnavailable, textBusy
	}
	if status != 499 {
		s.cfg.Logger.Error("request failed", "request", requestID(ctx), "err", err)
	}
	title := http.StatusText(status)
	return &huma.ErrorModel{Status: status, Title: title, Detail: text}
}

// errStore marks errors of the stores behind the API.
var errStore = errors.New("store")

// storeError says which question to which store failed.
func storeError(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, errStore, err)
}

// writeProblem answers with a problem document outside of huma.
func writeProblem(w http.ResponseWriter, r *http.Request, m *huma.ErrorModel) {
	m.Instance = instance(r.Context())
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	h.Del("Content-Disposition")
	h.Del("Trailer")
	h.Del("ETag")
	if m.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="yunhe"`)
	}
	w.WriteHeader(m.Status)
	b, err := json.Marshal(m)
	if err != nil {
		return // an ErrorModel of texts always encodes
	}
	_, _ = w.Write(append(b, '\n')) // a caller who is gone is no fault
}

// instance names the request in problem documents and in the log.
func instance(ctx context.Context) string { return "urn:yunhe:request:" + requestID(ctx) }
