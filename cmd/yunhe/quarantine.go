package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"yunhe/collector"
	"yunhe/internal/evidence"
)

type quarantineCommand struct {
	List   quarantineList   `cmd:"" help:"Show what the collector refused, and why."`
	Replay quarantineReplay `cmd:"" help:"Take refused messages once more, after the cause was mended."`
}

type collectorState struct {
	StateDir string `help:"The collector's state_dir." required:"" type:"existingdir" env:"YUNHE_STATE_DIR"`
}

type quarantineList struct{ collectorState }

// Run prints a table.
func (c quarantineList) Run(t *terminal) error {
	items, err := collector.QuarantineList(t.ctx, c.StateDir)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tARRIVED\tOUTCOME\tTOPIC\tREASON")
	for _, it := range items {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", it.ID, date(it.At), it.Outcome, it.Topic, it.Reason)
	}
	return w.Flush()
}

type quarantineReplay struct {
	collectorState
	ID []string `arg:"" optional:"" help:"Ids as list shows them; none means all."`
}

// Run prints what became of each message and fails if one stays refused.
func (c quarantineReplay) Run(t *terminal) error {
	ids := make([]evidence.Hash, len(c.ID))
	for i, text := range c.ID {
		if err := ids[i].UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("id %q: %w", text, err)
		}
	}
	results, err := collector.QuarantineReplay(t.ctx, c.StateDir, ids...)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tOUTCOME\tREASON")
	stay := 0
	for _, r := range results {
		if !r.Gone {
			stay++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, r.Outcome, r.Reason)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if stay > 0 {
		return errors.New(fmt.Sprint(stay, " of ", len(results), " stay in quarantine"))
	}
	return nil
}
