package httpapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"yunhe/api/internal/export"
	"yunhe/api/internal/query"
	"yunhe/internal/catalog"
	"yunhe/internal/records"
)

// Trailers that end a streamed answer. Content-Digest is RFC 9530, over the
// whole body; the other two are what the JSON forms say in-band.
const (
	trailerRows   = "Yunhe-Rows"
	trailerSHA256 = "Yunhe-Sha256"
	trailerDigest = "Content-Digest"
)

// chunk is how much of an answer is gathered before it is sent.
const chunk = 64 << 10

// Reading is one row of an answer without windows.
type Reading struct {
	Time        time.Time `json:"time" doc:"When it was read, RFC 3339 UTC with milliseconds"`
	Site        string    `json:"site" doc:"Id of the site"`
	Gateway     string    `json:"gateway" doc:"Id of the gateway"`
	Device      string    `json:"device" doc:"Id of the device"`
	Kind        string    `json:"kind" doc:"Kind of device"`
	Point       string    `json:"point" doc:"Name of the point"`
	Value       Value     `json:"value"`
	Unit        string    `json:"unit" doc:"UCUM code; empty if no definition tells"`
	Quality     string    `json:"quality" enum:"good,uncertain,bad" doc:"How far it may be trusted; bad has no value"`
	ClockFailed bool      `json:"clock_failed" doc:"The gateway's clock could not be trusted when it was read"`
	Unsigned    bool      `json:"unsigned" doc:"From a node that signs nothing"`
}

// WindowReading is one row of an answer with windows.
type WindowReading struct {
	From      time.Time `json:"from" doc:"Start of the window, inclusive"`
	To        time.Time `json:"to" doc:"End of the window, exclusive"`
	Site      string    `json:"site" doc:"Id of the site"`
	Gateway   string    `json:"gateway" doc:"Id of the gateway"`
	Device    string    `json:"device" doc:"Id of the device"`
	Kind      string    `json:"kind" doc:"Kind of device"`
	Point     string    `json:"point" doc:"Name of the point"`
	Function  string    `json:"function" enum:"mean,min,max,sum,count,first,last,spread" doc:"What was computed"`
	Value     Value     `json:"value"`
	Unit      string    `json:"unit" doc:"UCUM code of the value; 1 for count"`
	Count     int64     `json:"count" doc:"Readings with a value in the window"`
	Uncertain int64     `json:"uncertain" doc:"Of these, uncertain ones"`
	Bad       int64     `json:"bad" doc:"Readings without a value in the window"`
	Quality   string    `json:"quality" enum:"good,uncertain,bad" doc:"The worst quality in the window"`
	Unsigned  bool      `json:"unsigned" doc:"From a node that signs nothing"`
}

// ReadingsDocument is the JSON form.
type ReadingsDocument struct {
	Site     string `json:"site" doc:"Id of the site"`
	Zone     string `json:"zone" doc:"IANA zone of the site"`
	From     string `json:"from" doc:"Start of the range, inclusive"`
	To       string `json:"to" doc:"End of the range, exclusive"`
	Every    string `json:"every,omitempty" doc:"Length of the windows"`
	Function string `json:"function,omitempty" doc:"What is computed over each window"`
	Readings []any  `json:"readings" doc:"Reading, or WindowReading if windows were asked for; one a line"`
	Rows     int64  `json:"rows" doc:"Number of readings in this answer"`
	SHA256   string `json:"sha256" doc:"SHA-256 of the readings as they stand here, each followed by one line feed, hex; the same as of the NDJSON form"`
}

type rangeInput struct {
	Site     string   `query:"site" doc:"Id of the site" example:"canal-1"`
	Gateway  []string `query:"gateway,explode" doc:"Ids of gateways, repeated or separated by commas; all if left out"`
	Device   []string `query:"device,explode" doc:"Ids of devices, repeated or separated by commas; all if left out"`
	Point    []string `query:"point,explode" doc:"Names of points, repeated or separated by commas; all if left out"`
	From     string   `query:"from" doc:"Start, RFC 3339, inclusive" example:"2026-11-01T00:00:00+08:00"`
	To       string   `query:"to" doc:"End, RFC 3339, exclusive" example:"2026-11-02T00:00:00+08:00"`
	Every    string   `query:"every" doc:"Windows: 1s to 12h dividing a day evenly (borders count from midnight UTC), or day, month, year of the site's zone. The first and the last are cut at from and to" example:"15m"`
	Function string   `query:"function" doc:"With every: mean, min, max, sum, count, first, last or spread (largest less smallest)" example:"mean"`
	Unsigned bool     `query:"unsigned" doc:"Readings of nodes that sign nothing, instead of signed ones"`
	Format   string   `query:"format" doc:"json, csv or ndjson; wins over the Accept header" example:"csv"`
	Accept   string   `header:"Accept" doc:"application/json, text/csv or application/x-ndjson, if format is left out"`
}

func (s *server) registerRange(api huma.API) {
	one, many := schemaOf[ReadingsDocument](api), &huma.Schema{OneOf: []*huma.Schema{schemaOf[Reading](api), schemaOf[WindowReading](api), schemaOf[export.Summary](api)}}
	text := &huma.Schema{Type: huma.TypeString}
	op := sited(huma.Operation{
		OperationID: "readings", Method: http.MethodGet, Path: "/api/v1/readings", Tags: []string{"readings"},
		Summary: "Readings of a range, or windows over them",
		Description: "Everything that is stored for the range, streamed: by gateway, device, time and point; windows by gateway, device, window and point. " +
			"Windows leave out readings taken while the gateway's clock could not be trusted; a window without any reading is no row. " +
			"JSON ends with rows and sha256, NDJSON with a line that holds both; CSV is rows alone. All three send both, and Content-Digest, as HTTP trailers. " +
			"An answer that cannot be finished breaks the connection.",
		Responses: response("The readings", map[string]*huma.MediaType{
			"application/json": {Schema: one}, "application/x-ndjson": {Schema: many}, "text/csv": {Schema: text},
		}, map[string]*huma.Param{
			"Trailer": {Description: "Yunhe-Rows (number of rows), Yunhe-Sha256 (hex; CSV: of the whole body, else of the row lines), Content-Digest (RFC 9530, of the whole body)", Schema: text},
		}),
		RejectUnknownQueryParameters: true,
	})
	op.Errors = append(op.Errors, http.StatusNotAcceptable)
	huma.Register(api, op, func(ctx context.Context, in *rangeInput) (*huma.StreamResponse, error) {
		r, site, units, err := s.prepare(ctx, in)
		if err != nil {
			return nil, s.public(ctx, err)
		}
		who := callerOf(ctx)
		release, ok := s.exports.take(who.ID)
		if !ok {
			s.metrics.limited.WithLabelValues("exports").Inc()
			return nil, problem(http.StatusTooManyRequests, fmt.Sprintf("Too many long answers at once: this key may fetch %d at a time.", s.cfg.Limits.ExportsPerKey))
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer release()
			s.send(hc, r, site, units)
		}}, nil
	})
	// Said here and not in the struct: query.ParseReadings reports what is
	// missing together with everything else.
	for _, p := range api.OpenAPI().Paths[op.Path].Get.Parameters {
		p.Required = p.Name == "site" || p.Name == "from" || p.Name == "to"
	}
}

// prepare checks everything that can be refused before the first row.
func (s *server) prepare(ctx context.Context, in *rangeInput) (query.Readings, *catalog.Site, map[pointKey]records.Point, error) {
	r, err := query.ParseReadings(query.Params{
		Site: in.Site, Gateway: in.Gateway, Device: in.Device, Point: in.Point, Unsigned: in.Unsigned,
		From: in.From, To: in.To, Every: in.Every, Function: in.Function, Format: in.Format, Accept: in.Accept,
	}, s.ask)
	if err != nil {
		return r, nil, nil, paramProblem(err)
	}
	site, err := s.siteFor(callerOf(ctx), r.Site)
	if err != nil {
		return r, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Limits.Answer)
	defer cancel()
	units, err := s.units(ctx, records.Scope{Sites: []string{r.Site}})
	return r, site, units, err
}

// send streams the rows. As long as nothing has left the house an error is a
// problem document; afterwards it breaks the connection.
func (s *server) send(hc huma.Context, r query.Readings, site *catalog.Site, units map[pointKey]records.Point) {
	req, w := requestOf(hc)
	ctx := req.Context()
	body := newBody(w, s.cfg.Limits.Write)
	h := w.Header()
	h.Set("Content-Type", r.Format.MediaType())
	h.Set("Trailer", trailerRows+", "+trailerSHA256+", "+trailerDigest)
	if r.Format == query.CSV {
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s_%s_%s.csv"`, r.Site, r.From.Format("20060102T1504Z"), r.To.Format("20060102T1504Z")))
	}
	out := bufio.NewWriterSize(body, chunk)
	sum, err := s.write(ctx, out, r, site, units)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		if !body.started && !errors.Is(err, errGone) {
			writeProblem(w, req, s.public(ctx, err))
			return
		}
		s.metrics.broken.Inc()
		if !errors.Is(err, errGone) && ctx.Err() == nil {
			s.cfg.Logger.Error("answer broken off", "request", requestID(ctx), "rows", sum.Rows, "err", err)
		}
		panic(http.ErrAbortHandler)
	}
	s.metrics.rows.Add(float64(sum.Rows))
	h.Set(trailerRows, strconv.FormatInt(sum.Rows, 10))
	h.Set(trailerSHA256, sum.SHA256)
	if r.Format == query.CSV {
		b, _ := hex.DecodeString(sum.SHA256) // made by hex
		h.Set(trailerDigest, "sha-256=:"+base64.StdEncoding.EncodeToString(b)+":")
		return
	}
	h.Set(trailerDigest, "sha-256=:"+base64.StdEncoding.EncodeToString(body.sum.Sum(nil))+":")
}

// write encodes all rows to out.
func (s *server) write(ctx context.Context, out *bufio.Writer, r query.Readings, site *catalog.Site, units map[pointKey]records.Point) (export.Summary, error) {
	windows := !r.Step.IsZero()
	var enc export.Encoder
	switch r.Format {
	case query.CSV:
		enc = export.NewCSV(out, windows)
	case query.NDJSON:
		enc = export.NewNDJSON(out)
	default:
		enc = export.NewJSON(out, export.Head{
			Site: r.Site, Zone: site.Zone.String(), From: r.From, To: r.To, Every: r.Step.String(), Function: string(r.Function),
		})
	}
	var err error
	if windows {
		err = s.writeWindows(ctx, enc, r, site, units)
	} else {
		err = s.writeRows(ctx, enc, r, units)
	}
	if err != nil {
		return export.Summary{}, err
	}
	return enc.Close()
}

func (s *server) writeRows(ctx context.Context, enc export.Encoder, r query.Readings, units map[pointKey]records.Point) error {
	for m, err := range s.cfg.Series.Range(ctx, r.Series()) {
		if err != nil {
			return storeError("read range", err)
		}
		d := m.Device
		if err := enc.Row(export.Row{
			Time: m.Time, Site: d.Site, Gateway: d.Gateway, Device: d.ID, Kind: d.Kind, Point: m.Point,
			Unit:  units[pointKey{d.Site, d.Gateway, d.ID, m.Point}].Unit,
			Value: m.Value, Quality: m.Quality, ClockFailed: m.ClockFailed, Unsigned: d.Unsigned,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) writeWindows(ctx context.Context, enc export.Encoder, r query.Readings, site *catalog.Site, units map[pointKey]records.Point) error {
	for m, err := range s.cfg.Series.Windows(ctx, r.Windows(site.Zone)) {
		if err != nil {
			return storeError("read windows", err)
		}
		d := m.Device
		unit := units[pointKey{d.Site, d.Gateway, d.ID, m.Point}].Unit
		if r.Function == "count" {
			unit = "1"
		}
		if err := enc.Window(export.Window{
			From: m.From, To: m.To, Site: d.Site, Gateway: d.Gateway, Device: d.ID, Kind: d.Kind, Point: m.Point,
			Function: string(r.Function), Value: m.Value, Unit: unit, Count: m.Count, Uncertain: m.Uncertain, Bad: m.Bad,
			Quality: m.Worst(), Unsigned: d.Unsigned,
		}); err != nil {
			return err
		}
	}
	return nil
}
