package records

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits on what a client takes from a collector.
const (
	maxLine  = 4 << 20   // bytes of one value
	maxItems = 2_000_000 // values of one list
	// maxSilence is how long a stream may send nothing, heartbeats included.
	maxSilence  = 3 * heartbeat
	listTimeout = 60 * time.Second
)

// Client reads the records of a collector over HTTP. It implements Reader.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// NewClient returns a client of the listener at rawURL, http(s)://host:port.
func NewClient(rawURL, token string) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		return nil, fmt.Errorf("connect to records: %q is no address: write it as http://host:8091", rawURL)
	}
	if len(token) < MinToken {
		return nil, fmt.Errorf("connect to records: the token has %d bytes, at least %d are needed", len(token), MinToken)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = listTimeout
	return &Client{base: strings.TrimSuffix(rawURL, "/"), token: token, http: &http.Client{Transport: t}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Gateways implements Reader.
func (c *Client) Gateways(ctx context.Context, s Scope) ([]Gateway, error) {
	return fetch[Gateway](ctx, c, pathGateways, s)
}

// Devices implements Reader.
func (c *Client) Devices(ctx context.Context, s Scope) ([]Device, error) {
	return fetch[Device](ctx, c, pathDevices, s)
}

// Points implements Reader.
func (c *Client) Points(ctx context.Context, s Scope) ([]Point, error) {
	return fetch[Point](ctx, c, pathPoints, s)
}

// get opens an answer; the caller closes it.
func (c *Client) get(ctx context.Context, path string, q url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 256)) // for people, as far as it came
		resp.Body.Close()
		return nil, fmt.Errorf("the collector answers %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return resp.Body, nil
}

func (s Scope) query() url.Values {
	if s.All {
		return url.Values{"all": {"1"}}
	}
	return url.Values{"site": s.Sites}
}

// lines reads an answer line by line.
func lines(r io.Reader) *bufio.Scanner {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	return sc
}

// lastLine reports whether a line ends the answer. No value begins like it.
func lastLine(b []byte) (endOfList, bool) {
	var e endOfList
	if !bytes.HasPrefix(b, []byte(`{"end":`)) {
		return e, false
	}
	return e, json.Unmarshal(b, &e) == nil
}

func fetch[T any](parent context.Context, c *Client, path string, s Scope) ([]T, error) {
	ctx, cancel := context.WithTimeout(parent, listTimeout)
	defer cancel()
	body, err := c.get(ctx, path, s.query())
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	defer body.Close()
	out := []T{}
	sc := lines(body)
	for sc.Scan() {
		if _, ok := lastLine(sc.Bytes()); ok {
			return out, nil
		}
		if len(out) == maxItems {
			return nil, fmt.Errorf("read records: more than %d values: ask for fewer sites", maxItems)
		}
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("read records: %w", err)
		}
		out = append(out, v)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	return nil, fmt.Errorf("read records: %w", errCut)
}

// Stream implements Reader. When the connection breaks the last pair is an
// error; call it again after the last number.
func (c *Client) Stream(parent context.Context, s Scope, after uint64) iter.Seq2[StreamItem, error] {
	return func(yield func(StreamItem, error) bool) {
		ctx, cancel := context.WithCancel(parent)
		defer cancel()
		err := c.stream(ctx, cancel, s, after, func(it StreamItem) bool { return yield(it, nil) })
		if err != nil && parent.Err() == nil {
			yield(StreamItem{}, fmt.Errorf("read stream: %w", err))
		}
	}
}

// stream returns nil if yield wants no more.
func (c *Client) stream(ctx context.Context, cancel func(), s Scope, after uint64, yield func(StreamItem) bool) error {
	q := s.query()
	q.Set("after", strconv.FormatUint(after, 10))
	silence := time.AfterFunc(maxSilence, cancel)
	defer silence.Stop()
	body, err := c.get(ctx, pathStream, q)
	if err != nil {
		return err
	}
	defer body.Close()
	sc := lines(body)
	for sc.Scan() {
		silence.Reset(maxSilence)
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		if e, ok := lastLine(sc.Bytes()); ok {
			return fmt.Errorf("%s", e.Error)
		}
		var it StreamItem
		if err := json.Unmarshal(sc.Bytes(), &it); err != nil {
			return err
		}
		silence.Stop() // the caller may take its time
		if !yield(it) {
			return nil
		}
		silence.Reset(maxSilence)
	}
	if err := sc.Err(); err != nil {
		return err
	}
	return errCut
}
