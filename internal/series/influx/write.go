package influx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	ihttp "github.com/influxdata/influxdb-client-go/v2/api/http"

	"yunhe/internal/series"
)

// One request holds no more than this; servers refuse some 25 MB.
const (
	requestRows  = 5000
	requestBytes = 4 << 20
)

// line is one row in line protocol: its place in the rows and in the text.
type line struct{ row, lo, hi int }

// Write sends rows in requests of bounded size, one after the other. The
// context bounds the whole, the store's timeout each request.
func (s *Store) Write(ctx context.Context, rows []series.Row) ([]series.Rejected, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("write %d rows: %w", len(rows), err)
	}
	w := writing{store: s}
	if err := w.rows(ctx, rows); err != nil {
		return nil, fmt.Errorf("write %d rows: %w", len(rows), err)
	}
	slices.SortFunc(w.rejected, func(a, b series.Rejected) int { return a.Row - b.Row })
	return w.rejected, nil
}

type writing struct {
	store    *Store
	rejected []series.Rejected
	text     []byte
	lines    []line
}

func (w *writing) rows(ctx context.Context, rows []series.Row) error {
	for i := range rows {
		if err := series.CheckRow(rows[i]); err != nil {
			w.reject(i, err.Error())
			continue
		}
		explicit, err := w.store.explicit(ctx, &rows[i])
		if err != nil {
			return err
		}
		lo := len(w.text)
		w.text = append(appendLine(w.text, &rows[i], explicit), '\n')
		w.lines = append(w.lines, line{row: i, lo: lo, hi: len(w.text) - 1})
		if len(w.lines) == requestRows || len(w.text) >= requestBytes {
			if err := w.send(ctx, w.lines); err != nil {
				return err
			}
			w.lines, w.text = w.lines[:0], w.text[:0]
		}
	}
	if len(w.lines) == 0 {
		return nil
	}
	return w.send(ctx, w.lines)
}

func (w *writing) reject(row int, reason string) {
	w.rejected = append(w.rejected, series.Rejected{Row: row, Reason: reason})
}

// send writes lines. If the server objects to the request, the halves are sent
// again until the line that it objects to stands alone. A server that took
// some lines before it objected gets them again, which changes nothing; a line
// counts as stored only when a whole request with it was accepted.
func (w *writing) send(ctx context.Context, lines []line) error {
	body := w.text[lines[0].lo:lines[len(lines)-1].hi]
	err := w.store.post(ctx, string(bytes.TrimSuffix(body, []byte("\n"))))
	var objection *objectionError
	if !errors.As(err, &objection) {
		return err
	}
	if len(lines) == 1 {
		w.reject(lines[0].row, objection.reason)
		return nil
	}
	half := len(lines) / 2
	if err := w.send(ctx, lines[:half]); err != nil {
		return err
	}
	return w.send(ctx, lines[half:])
}

// objectionError says that the server will never take the request as it is.
type objectionError struct{ reason string }

func (e *objectionError) Error() string { return e.reason }

// post sends one request and sorts its outcome: nil is stored, an
// objectionError is about the lines, everything else is about the server.
func (s *Store) post(ctx context.Context, body string) error {
	rctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.writer.WriteRecord(rctx, body)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err() // the caller's own end, not the server's
	}
	var he *ihttp.Error
	if !errors.As(err, &he) || he.StatusCode == 0 {
		return &series.TryLaterError{Err: fmt.Errorf("reach InfluxDB: %w", err)}
	}
	said := answer(he.StatusCode, he.Message)
	switch he.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return &objectionError{reason: said}
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: check the token and its right to write to the bucket", said)
	case http.StatusNotFound:
		return fmt.Errorf("%s: make the bucket, or correct its name", said)
	}
	return &series.TryLaterError{After: time.Duration(he.RetryAfter) * time.Second, Err: errors.New(said)}
}

// answer makes a server's refusal one line of bounded length.
func answer(status int, message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > 500 {
		message = message[:500] + "…"
	}
	if message == "" {
		message = http.StatusText(status)
	}
	return fmt.Sprintf("InfluxDB answered %d: %s", status, strings.ToValidUTF8(message, "?"))
}
