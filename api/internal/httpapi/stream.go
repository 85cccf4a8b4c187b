package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"yunhe/api/internal/query"
	"yunhe/internal/records"
)

// StreamRow is the data of one event: what one device gave at one time.
type StreamRow struct {
	Time        time.Time       `json:"time" doc:"When it was read"`
	AgeS        float64         `json:"age_s" doc:"Seconds from time to the moment this event was sent"`
	Site        string          `json:"site" doc:"Id of the site"`
	Gateway     string          `json:"gateway" doc:"Id of the gateway"`
	Device      string          `json:"device" doc:"Id of the device"`
	Kind        string          `json:"kind" doc:"Kind of device"`
	ClockFailed bool            `json:"clock_failed" doc:"The gateway's clock could not be trusted when it was read"`
	Unsigned    bool            `json:"unsigned" doc:"From a node that signs nothing"`
	Readings    []StreamReading `json:"readings" nullable:"false" doc:"The values; units are those of the points"`
}

// StreamReading is one value of a StreamRow.
type StreamReading struct {
	Point   string `json:"point" doc:"Name of the point"`
	Value   Value  `json:"value"`
	Quality string `json:"quality" enum:"good,uncertain,bad" doc:"How far it may be trusted; bad has no value"`
}

type streamInput struct {
	Site        string `query:"site" doc:"Id of a site; all sites of the key if left out" example:"canal-1"`
	LastEventID string `header:"Last-Event-ID" doc:"Number of the last event that was received; the stream goes on after it. Left out: from now on"`
}

func (s *server) registerStream(api huma.API) {
	row := schemaOf[StreamRow](api)
	op := sited(huma.Operation{
		OperationID: "stream", Method: http.MethodGet, Path: "/api/v1/stream", Tags: []string{"readings"},
		Summary: "Live readings as they are stored",
		Description: "Server-sent events. `readings`: one StreamRow, its id the number to resume from. `gap`: rows before this point were stored but can no longer be streamed; fetch them with GET /api/v1/readings. " +
			"`heartbeat`: {\"time\": …} at least every 15 s of silence, so that a dead connection is noticed. History that a gateway sends after an outage comes with its own old time.",
		Responses:                    response("Events", map[string]*huma.MediaType{"text/event-stream": {Schema: row}}, nil),
		RejectUnknownQueryParameters: true,
	})
	huma.Register(api, op, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		_, scope, err := s.scope(ctx, query.Params{Site: in.Site})
		if err != nil {
			return nil, s.public(ctx, err)
		}
		after := uint64(records.Live)
		if in.LastEventID != "" {
			if after, err = strconv.ParseUint(in.LastEventID, 10, 53); err != nil {
				return nil, problem(http.StatusUnprocessableEntity, "Last-Event-ID is no number this stream gave out: leave it out to begin with now.")
			}
		}
		who := callerOf(ctx)
		release, ok := s.streams.take(who.ID)
		if !ok {
			s.metrics.limited.WithLabelValues("streams").Inc()
			return nil, problem(http.StatusTooManyRequests, fmt.Sprintf("Too many streams at once: this key may hold %d open.", s.cfg.Limits.StreamsPerKey))
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer release()
			s.metrics.streams.Inc()
			defer s.metrics.streams.Dec()
			s.follow(hc, who, scope, after)
		}}, nil
	})
}

// next is one step of the records' stream, handed from its goroutine.
type next struct {
	item records.StreamItem
	err  error
}

// follow sends events until the client leaves, its key ends, or the records
// fail; then the connection ends and the client comes back with the number it
// has.
func (s *server) follow(hc huma.Context, who caller, scope records.Scope, after uint64) {
	req, w := requestOf(hc)
	ctx, cancel := context.WithCancel(req.Context())
	items, done := make(chan next), make(chan struct{})
	go func() {
		defer close(done)
		s.pull(ctx, scope, after, items)
	}()
	defer func() { cancel(); <-done }()

	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := newBody(w, s.cfg.Limits.Write)
	if _, err := out.Write([]byte("retry: 2000\n\n")); err != nil {
		return
	}
	beat := time.NewTicker(s.cfg.Limits.Heartbeat)
	defer beat.Stop()
	for {
		var event []byte
		select {
		case <-ctx.Done():
			return
		case <-closing(ctx):
			return // the client comes back with the number it has
		case n, open := <-items:
			if !open {
				return
			}
			if n.err != nil {
				if ctx.Err() == nil {
					s.cfg.Logger.Error("stream broken off", "request", requestID(ctx), "err", n.err)
				}
				return
			}
			event = s.event(n.item)
		case <-beat.C:
			if !s.stillValid(who) {
				return
			}
			event = fmt.Appendf(nil, "event: heartbeat\ndata: {\"time\":%q}\n\n", s.cfg.Clock().UTC().Format(time.RFC3339))
		}
		if _, err := out.Write(event); err != nil {
			return
		}
	}
}

// pull hands what the records yield to items and closes it at the end.
func (s *server) pull(ctx context.Context, scope records.Scope, after uint64, items chan<- next) {
	defer close(items)
	for item, err := range s.cfg.Records.Stream(ctx, scope, after) {
		if err == nil && !scope.Allows(item.Site) {
			continue // the records promise this; a leak would be worse than a second look
		}
		select {
		case <-ctx.Done():
			return
		case items <- next{item, err}:
		}
		if err != nil {
			return
		}
	}
}

// event writes one row, and before it, where rows are missing, that they are.
func (s *server) event(it records.StreamItem) []byte {
	row := StreamRow{
		Time: it.Time.UTC(), AgeS: s.cfg.Clock().Sub(it.Time).Round(time.Millisecond).Seconds(),
		Site: it.Site, Gateway: it.Gateway, Device: it.Device, Kind: it.Kind, ClockFailed: it.ClockFailed, Unsigned: it.Unsigned,
		Readings: make([]StreamReading, len(it.Readings)),
	}
	for i, r := range it.Readings {
		row.Readings[i] = StreamReading{Point: r.Point, Value: Value{r.Value}, Quality: r.Quality.String()}
	}
	var b []byte
	if it.Gap {
		b = fmt.Appendf(b, "event: gap\ndata: {\"before\":%d}\n\n", it.Seq)
	}
	data, err := json.Marshal(row)
	if err != nil { // cannot happen: every field encodes
		return b
	}
	return fmt.Appendf(b, "id: %d\nevent: readings\ndata: %s\n\n", it.Seq, data)
}
