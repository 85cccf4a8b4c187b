package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// greet says where to look.
func (d *demo) greet() {
	fmt.Fprintf(d.Out, `
  Yunhe 运河 · demonstration · 演示

  Page        %[1]s/#key=%[2]s
  API         %[1]s/docs
  Key         %[2]s
  Try         curl -H "Authorization: Bearer %[2]s" "%[1]s/api/v1/readings/latest?site=%[3]s"
  State       %[4]s   (remove it to begin anew)
  Stop        Ctrl-C

`, d.addr, d.key, site, d.Dir)
}

// report shows how far the history is: made, then stored. On a terminal it is
// one line that moves; elsewhere a line now and then.
func (d *demo) report(ctx context.Context) error {
	bar := newBar(d.Out)
	t := time.NewTicker(bar.every)
	defer t.Stop()
	total := d.state.Until.Sub(d.state.Start)
	for finished := d.made.Load() >= d.state.Until.UnixMilli(); ; {
		select {
		case <-ctx.Done():
			bar.end("")
			return nil
		case <-t.C:
		}
		made := time.UnixMilli(d.made.Load()).Sub(d.state.Start)
		left := d.backlog()
		switch {
		case finished && left == 0:
			bar.end("")
			<-ctx.Done()
			return nil
		case made < total:
			bar.show(float64(made)/float64(total), fmt.Sprintf("history: %.0f of %.0f days read from the devices, %d batches to deliver", made.Hours()/24, total.Hours()/24, left))
		case left > 0:
			bar.show(d.delivered(left), fmt.Sprintf("history: %d batches to deliver", left))
		default:
			bar.end(fmt.Sprintf("history: all %.0f days are stored", total.Hours()/24))
			finished = true
		}
	}
}

// backlog is the number of entries of the history that the collector has not
// acknowledged.
func (d *demo) backlog() (n uint64) {
	for _, j := range d.agent.Status().Journals {
		if strings.HasPrefix(j.Name, "history") {
			n += j.Backlog
		}
	}
	return n
}

// delivered is the share of this start's entries that are stored.
func (d *demo) delivered(left uint64) float64 {
	acked := d.agent.Status().Session.Acked
	return float64(acked) / float64(acked+left)
}

// bar is a progress bar on a terminal, plain lines elsewhere.
type bar struct {
	out interface {
		Write([]byte) (int, error)
	}
	terminal bool
	every    time.Duration
	drawn    bool
}

const barWidth = 30

func newBar(out interface{ Write([]byte) (int, error) }) *bar {
	b := &bar{out: out, every: 5 * time.Second}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if b.terminal {
		b.every = 200 * time.Millisecond
	}
	return b
}

func (b *bar) show(share float64, text string) {
	full := min(barWidth, max(0, int(share*barWidth)))
	if !b.terminal {
		fmt.Fprintf(b.out, "  %3.0f %%  %s\n", share*100, text)
		return
	}
	fmt.Fprintf(b.out, "\r\033[K  %s%s %3.0f %%  %s", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), share*100, text)
	b.drawn = true
}

// end removes the bar and leaves text, if there is any.
func (b *bar) end(text string) {
	if b.drawn {
		fmt.Fprint(b.out, "\r\033[K")
		b.drawn = false
	}
	if text != "" {
		fmt.Fprintln(b.out, "  "+text)
	}
}
