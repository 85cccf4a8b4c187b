package records

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// MinToken is the shortest token accepted, in bytes.
const MinToken = 32

// maxStreams bounds the streams open at once.
const maxStreams = 256

// heartbeat is how often a quiet stream sends an empty line, so that both
// ends notice a dead connection.
const heartbeat = 15 * time.Second

// The paths of the collector's second listener. Each takes the scope as
// ?all=1 or ?site=a&site=b, the stream also ?after=number.
const (
	pathGateways = "/v1/gateways"
	pathDevices  = "/v1/devices"
	pathPoints   = "/v1/points"
	pathStream   = "/v1/stream"
)

// NewHandler serves r over HTTP to whoever has the token, as newline-delimited
// JSON, one value a line; the last line is {"end":true}, so that a cut answer is
// not taken for a whole one. The token must have MinToken bytes.
func NewHandler(r Reader, token string) (http.Handler, error) {
	if len(token) < MinToken {
		return nil, fmt.Errorf("serve records: the token has %d bytes, at least %d are needed: make one with `openssl rand -hex 32`", len(token), MinToken)
	}
	streams := make(chan struct{}, maxStreams)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathGateways, func(w http.ResponseWriter, q *http.Request) {
		list(w, q, r.Gateways)
	})
	mux.HandleFunc("GET "+pathDevices, func(w http.ResponseWriter, q *http.Request) {
		list(w, q, r.Devices)
	})
	mux.HandleFunc("GET "+pathPoints, func(w http.ResponseWriter, q *http.Request) {
		list(w, q, r.Points)
	})
	mux.HandleFunc("GET "+pathStream, func(w http.ResponseWriter, q *http.Request) {
		select {
		case streams <- struct{}{}:
			defer func() { <-streams }()
			serveStream(w, q, r)
		default:
			http.Error(w, "too many streams are open: try again later", http.StatusServiceUnavailable)
		}
	})
	return authorised(mux, token), nil
}

// authorised lets a request through that carries the token. Hashes are
// compared, so that neither content nor length shows in the time it takes.
func authorised(next http.Handler, token string) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		given, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, q)
	})
}

func scopeOf(q url.Values) Scope {
	return Scope{All: q.Get("all") == "1", Sites: q["site"]}
}

// endOfList is the last line of a whole answer.
type endOfList struct {
	End   bool   `json:"end"`
	Error string `json:"error,omitempty"`
}

func list[T any](w http.ResponseWriter, q *http.Request, get func(context.Context, Scope) ([]T, error)) {
	items, err := get(q.Context(), scopeOf(q.URL.Query()))
	if err != nil {
		http.Error(w, "the records cannot be read now", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(listTimeout)) // not every writer has one
	enc := json.NewEncoder(w)
	for i := range items {
		if enc.Encode(items[i]) != nil {
			return // the reader has gone
		}
	}
	enc.Encode(endOfList{End: true}) // as above
}

func serveStream(w http.ResponseWriter, q *http.Request, r Reader) {
	after, err := strconv.ParseUint(q.URL.Query().Get("after"), 10, 64)
	if err != nil {
		http.Error(w, "after must be a whole number", http.StatusBadRequest)
		return
	}
	rc := http.NewResponseController(w)
	// A stream outlives the server's write timeout; each line has its own.
	deadline := func() { _ = rc.SetWriteDeadline(time.Now().Add(2 * heartbeat)) } // not every writer has one
	w.Header().Set("Content-Type", "application/x-ndjson")
	deadline()
	if rc.Flush() != nil {
		return
	}
	ctx, cancel := context.WithCancel(q.Context())
	items, done := pull(ctx, r.Stream(ctx, scopeOf(q.URL.Query()), after))
	defer func() { cancel(); <-done }()
	enc := json.NewEncoder(w)
	quiet := time.NewTicker(heartbeat)
	defer quiet.Stop()
	for {
		select {
		case <-q.Context().Done():
			return
		case it, ok := <-items:
			if !ok {
				return
			}
			deadline()
			if it.err != nil {
				enc.Encode(endOfList{Error: "the stream ended: resume after the last number"}) // ends either way
				return
			}
			if enc.Encode(it.item) != nil || len(items) == 0 && rc.Flush() != nil {
				return
			}
		case <-quiet.C:
			deadline()
			if _, err := w.Write([]byte("\n")); err != nil || rc.Flush() != nil {
				return
			}
		}
	}
}

type streamed struct {
	item StreamItem
	err  error
}

// pull moves a sequence into a channel, so that heartbeats can go out between
// its items. It has ended, soon after ctx at the latest, when done is closed.
func pull(ctx context.Context, seq iter.Seq2[StreamItem, error]) (items <-chan streamed, done <-chan struct{}) {
	out, ended := make(chan streamed, 64), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(out)
		for it, err := range seq {
			select {
			case out <- streamed{it, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out, ended
}

var errCut = errors.New("the answer was cut: try again")
