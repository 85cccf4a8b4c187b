package influx

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"yunhe/internal/series"
)

func TestQuoting(t *testing.T) {
	for _, c := range []struct{ in, ident, text string }{
		{`a`, `"a"`, `'a'`},
		{`a"b'c`, `"a\"b'c"`, `'a"b\'c'`},
		{`a\`, `"a\\"`, `'a\\'`},
		{`\"; DROP DATABASE x; --`, `"\\\"; DROP DATABASE x; --"`, `'\\"; DROP DATABASE x; --'`},
		{"a\nb", `"a\nb"`, `'a\nb'`},
		{`\'`, `"\\'"`, `'\\\''`},
	} {
		if got := ident(c.in); got != c.ident {
			t.Errorf("ident(%q) = %s, want %s", c.in, got, c.ident)
		}
		if got := text(c.in); got != c.text {
			t.Errorf("text(%q) = %s, want %s", c.in, got, c.text)
		}
	}
}

// rowsOf decodes an answer into text.
func rowsOf(answer string) (rows []string, err error) {
	err = decode(strings.NewReader(answer), func(c *cursor) error {
		for c.next() {
			rows = append(rows, fmt.Sprintf("%d %s %v %v %v", c.statement, c.name, c.tags, c.columns, c.values))
		}
		return c.err
	})
	return rows, err
}

func TestDecode(t *testing.T) {
	rows, err := rowsOf(`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":"1"},"columns":["time","v"],"values":[[0,1.5],[-1,null]],"partial":true}],"partial":true}]}
{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[2,"x\u00e9\"\n"],[3,true]]}]}]}
{"results":[{"statement_id":1,"messages":[{"level":"warning","text":"t"}]}],"later":{"a":[1,{"b":null}]}}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`0 m map[a:1] [time v] [{1 0 false } {1 1.5 false }]`,
		`0 m map[a:1] [time v] [{1 -1 false } {0 0 false }]`,
		"0 m map[] [time v] [{1 2 false } {3 0 false xé\"\n}]",
		`0 m map[] [time v] [{1 3 false } {2 0 true }]`,
	}
	if d := cmp.Diff(want, rows); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestDecodeFaults(t *testing.T) {
	for answer, want := range map[string]string{
		`{"results":[{"statement_id":0,"error":"no such thing"}]}`: "no such thing",
		`{"error":"timeout"}`: "timeout",
		`{"results":[{"series":[{"columns":["time"],"values":[[1],[2`:        "unexpected EOF",
		`{"results":[{"series":[{"columns":["time"],"values":[[1,2]]}]}]}`:   "more than its 1 columns",
		`{"results":[{"series":[{"columns":["time","v"],"values":[[1]]}]}]}`: "1 values for 2 columns",
		`{"results":[{"series":[{"values":[[1]]}]}]}`:                        "before their columns",
		`{"results":[{"series":[{"columns":["time"],"values":[[tru]]}]}]}`:   "is no value",
		`{"results":` + strings.Repeat("[", 100):                             "where",
		`{"x":` + strings.Repeat("[", 100):                                   "too deep",
		`{"x":"` + strings.Repeat("x", 2<<20) + `"}`:                         "too long",
		`{"x":` + strings.Repeat("1", 100) + `}`:                             "too long",
		`[]`:                                                                 "where",
		`{"results":[{"series":[{"columns"`:                                  "unexpected EOF",
		`<html><body>a proxy</body></html>`:                                  "where",
	} {
		if _, err := rowsOf(answer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: error %v, want %q", answer, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"a":"1"},"columns":["time","v"],"values":[[0,1.5],[-1,null],[1,"x\n"],[2,true]],"partial":true}]}]}`)
	f.Add(`{"error":"x"}{"results":[]}`)
	f.Fuzz(func(t *testing.T, answer string) {
		rows, err := rowsOf(answer)
		if len(rows) > len(answer) {
			t.Errorf("%d rows out of %d bytes, %v", len(rows), len(answer), err)
		}
	})
}

// A server that fails in the middle of an answer gives an error, not an end.
func TestReadFaults(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   string
	}{
		{401, `{"error":"unable to parse authentication credentials"}`, "answered 401: unable to parse"},
		{404, `{"code":"not found","message":"no dbrp mapping"}`, "answered 404: no dbrp mapping"},
		{500, `<html>`, "answered 500: <html>"},
		{200, `{"results":[{"statement_id":0,"series":[{"name":"m","columns":["fieldKey","fieldType"],"values":[["a","float"]`, "unexpected EOF"},
		{200, `{"results":[{"statement_id":0,"error":"shard unavailable"}]}`, "shard unavailable"},
		{200, `{"results":[{"statement_id":9,"series":[{"name":"m","columns":["fieldKey","fieldType"],"values":[["a","float"]]}]}]}`, "answer to statement 9"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		s, err := Open(Options{URL: srv.URL, Bucket: "b"})
		if err != nil {
			t.Fatal(err)
		}
		q := series.Query{Site: "s", From: time.UnixMilli(0), To: time.UnixMilli(10)}
		if _, err := s.Latest(t.Context(), q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("latest: error %v, want %q", err, c.want)
		}
		var got error
		for _, err := range s.Range(t.Context(), q) {
			got = errors.Join(got, err)
		}
		if got == nil || !strings.Contains(got.Error(), c.want) {
			t.Errorf("range: error %v, want %q", got, c.want)
		}
		s.Close()
		srv.Close()
	}
}
