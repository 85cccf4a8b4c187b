package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// identEscaper and textEscaper are the only escapes InfluxQL knows: backslash,
// quote and line feed.
var (
	identEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	quoteEscaper = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`)
)

// ident writes an identifier of InfluxQL.
func ident(s string) string { return `"` + identEscaper.Replace(s) + `"` }

// text writes a string of InfluxQL.
func text(s string) string { return `'` + quoteEscaper.Replace(s) + `'` }

// query sends InfluxQL statements and calls each for every part of a series in
// the answer. each may return errStop.
func (s *Store) query(ctx context.Context, q string, each func(*cursor) error) error {
	rctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.ask(rctx, q, each)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Store) ask(ctx context.Context, q string, each func(*cursor) error) error {
	params := url.Values{"db": {s.database}, "epoch": {"ms"}, "chunked": {"true"}}
	if s.policy != "" {
		params.Set("rp", s.policy)
	}
	form := url.Values{"q": {q}}
	service := s.client.HTTPService()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		strings.TrimSuffix(service.ServerURL(), "/")+"/query?"+params.Encode(), strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("make query: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := service.DoHTTPRequestWithResponse(req, nil)
	if err != nil {
		return fmt.Errorf("query InfluxDB: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return queryError(resp)
	}
	if err := decode(resp.Body, each); err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// queryError makes an error of an answer that is not 200.
func queryError(resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	var said struct{ Error, Message string }
	if json.Unmarshal(body, &said) == nil && said.Error+said.Message != "" {
		body = []byte(said.Error + said.Message)
	}
	return errors.New(answer(resp.StatusCode, string(body)))
}
