// Package influx keeps readings in InfluxDB: 1.8, 2.x or 3 Core. It writes
// line protocol through influxdb-client-go and reads InfluxQL over /query,
// which all three answer. How readings lie there is described in
// docs/formats/series.md.
package influx

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api"

	"yunhe/internal/series"
)

// Options say which server and which bucket.
type Options struct {
	URL string // http or https, host, port; nothing secret
	// Org is the organisation on 2.x; 1.8 ignores it.
	Org string
	// Bucket is the bucket on 2.x, "database/retention policy" on 1.8. Queries
	// go to the database of that name, which 2.x maps to the bucket by itself.
	Bucket string
	// Token is the API token on 2.x, "user:password" on 1.8, empty if the
	// server asks for none. It is sent in a header and never logged.
	Token string
	// Timeout bounds each request; 0 means 30 seconds.
	Timeout time.Duration
}

// Store is a series.Store in one bucket.
//
// Write sends each part of the rows once and waits for the answer: no queue,
// no retry. A server that does not answer within the timeout, answers 429 or
// 5xx or cannot be reached gives a *series.TryLaterError.
type Store struct {
	client   influxdb2.Client
	writer   api.WriteAPIBlocking
	http     *http.Client
	database string
	policy   string // retention policy, may be empty
	timeout  time.Duration

	mu     sync.Mutex
	doubts map[gatewayKey]*doubt
}

var _ series.Store = (*Store)(nil)

// Open checks the options. It does not speak to the server: a collector
// starts also when its database is away.
func Open(o Options) (*Store, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, errors.New("open influx store: the URL cannot be read: use http://host:8086")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("open influx store: URL %q: use http://host:8086 or https://host:8086", u.Redacted())
	case u.User != nil || u.RawQuery != "":
		return nil, errors.New("open influx store: the URL holds a user or a query: put the secret in the token file")
	case o.Bucket == "":
		return nil, errors.New("open influx store: no bucket is named")
	}
	database, policy, _ := strings.Cut(o.Bucket, "/")
	if database == "" {
		return nil, fmt.Errorf("open influx store: bucket %q: no database before the slash", o.Bucket)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	s := &Store{
		database: database, policy: policy, timeout: o.Timeout,
		http: &http.Client{Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     90 * time.Second,
		}},
		doubts: map[gatewayKey]*doubt{},
	}
	opts := influxdb2.DefaultOptions().SetHTTPClient(s.http).SetPrecision(time.Millisecond).SetApplicationName("yunhe")
	s.client = influxdb2.NewClientWithOptions(strings.TrimSuffix(o.URL, "/"), o.Token, opts)
	s.writer = s.client.WriteAPIBlocking(o.Org, o.Bucket)
	return s, nil
}

// Close lets go of the connections.
func (s *Store) Close() error {
	s.client.Close()
	s.http.CloseIdleConnections()
	return nil
}
