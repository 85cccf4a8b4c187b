package query

import (
	"mime"
	"strconv"
	"strings"
)

// Format is the form of an answer that is streamed.
type Format string

// The three forms; the parameter wins over the Accept header.
const (
	JSON   Format = "json"
	CSV    Format = "csv"
	NDJSON Format = "ndjson"
)

// MediaType returns the content type of f.
func (f Format) MediaType() string {
	switch f {
	case CSV:
		return "text/csv; charset=utf-8; header=present"
	case NDJSON:
		return "application/x-ndjson"
	default:
		return "application/json"
	}
}

// NotAcceptable is the Param of the Fault for an Accept header that names no
// form there is.
const NotAcceptable = "Accept"

func format(p Params, fs *Faults) Format {
	switch f := Format(p.Format); f {
	case JSON, CSV, NDJSON:
		return f
	case "":
		return accepted(p.Accept, fs)
	default:
		fs.add("format", p.Format, "is no format: use json, csv or ndjson")
		return ""
	}
}

// accepted picks the form the Accept header likes best; the first one of
// equals, JSON if there is no header.
func accepted(header string, fs *Faults) Format {
	if header == "" {
		return JSON
	}
	best, most := Format(""), 0.0
	for part := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		var f Format
		switch kind {
		case "*/*", "application/*", "application/json":
			f = JSON
		case "text/csv", "text/*":
			f = CSV
		case "application/x-ndjson", "application/ndjson", "application/jsonl":
			f = NDJSON
		default:
			continue
		}
		if q > most {
			best, most = f, q
		}
	}
	if best == "" {
		fs.add(NotAcceptable, header, "names no form there is: accept application/json, text/csv or application/x-ndjson")
	}
	return best
}
