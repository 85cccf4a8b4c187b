package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"yunhe/edge"
)

// printStatus writes the state of an agent for people.
func printStatus(out io.Writer, s edge.Status) error {
	now := s.Clock.Time
	fmt.Fprintf(out, "gateway %s of %s, version %s, up %s\n", s.Gateway, s.Site, s.Version, now.Sub(s.Started).Round(time.Second))
	fmt.Fprintf(out, "key     %s\n", s.Key)
	offset := "offset unknown"
	if s.Clock.OffsetMs != nil {
		offset = fmt.Sprintf("within %d ms", *s.Clock.OffsetMs)
	}
	fmt.Fprintf(out, "clock   %s, state %s, %s\n", now.Format(time.RFC3339), s.Clock.State, offset)
	fmt.Fprintf(out, "link    %s\n", session(s.Session, now))
	if s.LastError != "" {
		fmt.Fprintf(out, "error   %s: %s\n", ago(s.ErrorAt, now), s.LastError)
	}
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\njournal\tnot acked\theld\tlost\tMB")
	for _, j := range s.Journals {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\n", j.Name, j.Backlog, j.Held, j.Dropped, float64(j.Bytes)/1e6)
	}
	fmt.Fprintln(w, "\ndevice\tprofile\tstate\tlast good\tpoints\tbad\trefused\tpolls\tskipped\terror")
	for _, d := range s.Devices {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", d.ID, d.Profile, d.State, ago(d.LastGood, now), d.Points, d.Bad, d.Refused, d.Polls, d.Skipped, d.LastError)
	}
	return w.Flush()
}

func session(s edge.SessionStatus, now time.Time) string {
	switch {
	case !s.Connected:
		return "not connected"
	case s.Silent:
		return fmt.Sprintf("connected %s, nobody acknowledges (last: %s); is the key enrolled and the collector up?", ago(s.Since, now), ago(s.LastAck, now))
	default:
		return fmt.Sprintf("connected %s, last acknowledgement %s, %d of %d in flight, %d sent (%d again)", ago(s.Since, now), ago(s.LastAck, now), s.InFlight, s.Window, s.Sent, s.Resent)
	}
}

func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	return now.Sub(*t).Round(time.Second).String() + " ago"
}
