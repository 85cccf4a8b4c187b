package e2e

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"yunhe/internal/series/influx"
	"yunhe/internal/series/influxtest"
)

// TestKillEverything kills agent, broker, collector and database at random
// moments and starts each again with the same command line. When it is calm
// again, every entry in the agent's journals is stored once, with its values,
// nothing is refused and no alarm was given, and every answer of a meter is
// stored, but for those that a kill of the agent caught on their way to the
// disk.
func TestKillEverything(t *testing.T) {
	t.Parallel()
	w := newVictims(t)
	w.ravage(plannedKills(t))
	w.gateway.drained(2 * time.Minute)
	calm := time.Since(w.began)
	refused := w.site.refused()
	stopped := time.Now()
	w.gateway.settle()
	w.kills = append(w.kills, kill{at: stopped.Sub(w.began), victim: "(stop)", moment: stopped.Add(time.Second)})
	w.site.collector.stop()

	journal := journalled(t, w.gateway)
	stored := keptBy(t, w.site)
	for n, e := range journal {
		if s, ok := stored.entries[n]; !ok {
			t.Errorf("entry %v (%s) is in the journal and not stored", n, e.Content.Kind)
		} else if s.Hash != e.Hash {
			t.Errorf("entry %v is stored as another", n)
		}
	}
	for n := range stored.entries {
		if _, ok := journal[n]; !ok {
			t.Errorf("entry %v is stored and not in the journal: it was sent before it was durable", n)
		}
	}
	signed := journal.cells(t)
	signed.compare(t, w.cells())
	missing := w.checkReplies(signed)
	if a := w.site.alarms(""); len(a) > 0 {
		t.Errorf("%d alarms, though nobody did anything wrong:\n%s", len(a), strings.Join(a, "\n"))
	}
	if len(refused) > 0 {
		t.Errorf("%d messages are in quarantine:\n%s", len(refused), strings.Join(refused, "\n"))
	}
	w.print(calm, len(journal), stored, len(signed), missing)
}

// chaos is how long the kills go on and how many there are.
type chaos struct {
	seed  uint64
	kills int
	span  time.Duration
}

// plannedKills reads the environment.
func plannedKills(t testing.TB) chaos {
	t.Helper()
	c := chaos{seed: uint64(time.Now().UnixNano()) % 1e9, kills: 14, span: 28 * time.Second}
	if testing.Short() {
		c.kills, c.span = 6, 10*time.Second
	}
	number := func(name string, set func(uint64)) {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				t.Fatalf("%s=%q is no number", name, text)
			}
			set(n)
		}
	}
	number("YUNHE_E2E_ROUNDS", func(n uint64) { c.kills = int(n) })
	number("YUNHE_E2E_SECONDS", func(n uint64) { c.span = time.Duration(n) * time.Second })
	number("YUNHE_E2E_SEED", func(n uint64) { c.seed = n })
	t.Logf("YUNHE_E2E_SEED=%d YUNHE_E2E_ROUNDS=%d YUNHE_E2E_SECONDS=%.0f", c.seed, c.kills, c.span.Seconds())
	return c
}

// victims are the four programs, and what became of them.
type victims struct {
	t       testing.TB
	site    *site
	gateway *gateway
	meters  *meters
	influx  *influxtest.Server
	began   time.Time
	kills   []kill
}

// kill is one SIGKILL: when, whom, and for how long it stayed away.
type kill struct {
	at     time.Duration // since the beginning
	victim string
	away   time.Duration
	moment time.Time // when the process was gone
}

// newVictims starts everything and waits for the first acknowledgements.
func newVictims(t testing.TB) *victims {
	t.Helper()
	w := &victims{t: t, influx: influxtest.New(t), meters: newMeters(t, 4)}
	w.site = newSite(t, siteOptions{influx: w.influx.URL})
	w.gateway = w.site.newGateway("gw-1", gatewayOptions{devices: w.meters.config()})
	w.gateway.enroll()
	w.site.start()
	w.gateway.start()
	w.gateway.drained(20 * time.Second)
	w.began = time.Now()
	return w
}

// longestAway is how long a program stays away at most. It is long enough for
// several to be away at once: a collector that dies while its database is down
// must not have acknowledged what only it knew.
const longestAway = 2500 * time.Millisecond

// schedule draws the kills. Each program is killed in turn before any is
// killed again, so that a short run meets all of them. Last comes the worst
// order: the collector dies with what its database has not taken, and the
// agent lives on with the acknowledgements it had until then.
func schedule(c chaos) []kill {
	random := rand.New(rand.NewPCG(c.seed, 1))
	names := []string{"edge", "broker", "collector", "database"}
	out := make([]kill, c.kills)
	for i := range out {
		if i%len(names) == 0 {
			random.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
		}
		out[i] = kill{
			at:     time.Duration(random.Int64N(int64(c.span))),
			victim: names[i%len(names)],
			away:   time.Duration(random.Int64N(int64(longestAway))),
		}
	}
	slices.SortFunc(out, func(a, b kill) int { return cmp.Compare(a.at, b.at) })
	last := c.span + longestAway
	return append(out,
		kill{at: last, victim: "database", away: 2 * time.Second},
		kill{at: last + 800*time.Millisecond, victim: "collector", away: time.Second})
}

// ravage kills and starts again by schedule, until all are started again. A
// kill of a program that is away is left out.
func (w *victims) ravage(c chaos) {
	w.t.Helper()
	back := map[string]time.Time{} // when who is away comes back
	revive := func(until time.Time) {
		for len(back) > 0 {
			first := ""
			for name, at := range back {
				if first == "" || at.Before(back[first]) {
					first = name
				}
			}
			if back[first].After(until) {
				return
			}
			time.Sleep(time.Until(back[first]))
			w.revive(first)
			delete(back, first)
		}
	}
	for _, k := range schedule(c) {
		at := w.began.Add(k.at)
		revive(at)
		time.Sleep(time.Until(at))
		if _, away := back[k.victim]; away {
			continue
		}
		w.strike(k.victim)
		k.moment = time.Now()
		k.at = k.moment.Sub(w.began)
		w.kills = append(w.kills, k)
		back[k.victim] = k.moment.Add(k.away)
	}
	revive(time.Now().Add(2 * longestAway))
}

// process returns one of the three programs that the test itself starts.
func (w *victims) process(name string) *process {
	return map[string]*process{"edge": w.gateway.process, "broker": w.site.broker, "collector": w.site.collector}[name]
}

// strike kills a program, which must be alive: none may have given up before.
func (w *victims) strike(name string) {
	w.t.Helper()
	if name == "database" {
		w.influx.Kill()
		return
	}
	p := w.process(name)
	if !p.alive() {
		w.t.Fatalf("%s has ended by itself", p.name)
	}
	p.kill()
}

// revive starts a program again as it was started before.
func (w *victims) revive(name string) {
	w.t.Helper()
	if name == "database" {
		w.influx.Run(w.t)
		return
	}
	w.process(name).start()
}

// cells reads the database.
func (w *victims) cells() values {
	w.t.Helper()
	store, err := influx.Open(influx.Options{URL: w.influx.URL, Bucket: influxtest.Database})
	if err != nil {
		w.t.Fatal(err)
	}
	defer store.Close()
	return cellsIn(w.t, store)
}

// onItsWay is how long an answer may take to the disk of the agent: the group
// commit interval, the fsync, and what a loaded machine adds to both.
const onItsWay = syncEvery + 900*time.Millisecond

// checkReplies looks for every answer of a meter among the signed values and
// returns how many are missing. The rule: an answer may be missing only if it
// was given within onItsWay before a kill of the agent, or before the agent was
// stopped in order while the poll was under way; and of one meter at most as
// many in a row as it is polled in that time, and one more.
func (w *victims) checkReplies(signed values) (missing int) {
	w.t.Helper()
	type mark struct {
		device string
		number uint64
	}
	there := map[mark]int{}
	for c, v := range signed {
		switch c.point {
		case "power":
			there[mark{c.device, uint64(v)}]++
		case "energy":
			there[mark{c.device, uint64(v*100 + 0.5)}]++
		}
	}
	inARow := map[string]int{}
	most := int(onItsWay/pollEvery) + 1
	for _, r := range w.meters.taken() {
		switch n := there[mark{r.device, r.number}]; {
		case n > 2:
			w.t.Errorf("%s: answer %d is stored %d times", r.device, r.number, n)
		case n > 0:
			inARow[r.device] = 0
			continue
		case !w.caught(r.at):
			w.t.Errorf("%s: answer %d of %s is not stored, and nothing was killed then", r.device, r.number, r.at.Format(time.StampMilli))
		}
		missing++
		if inARow[r.device]++; inARow[r.device] > most {
			w.t.Errorf("%s: %d answers in a row are missing, at most %d can be on their way", r.device, inARow[r.device], most)
		}
	}
	return missing
}

// caught reports whether an answer was on its way when the agent was killed.
func (w *victims) caught(at time.Time) bool {
	return slices.ContainsFunc(w.kills, func(k kill) bool {
		ends := k.victim == "edge" || k.victim == "(stop)"
		return ends && at.Before(k.moment) && k.moment.Sub(at) <= onItsWay
	})
}

// print says what happened.
func (w *victims) print(calm time.Duration, journal int, stored kept, signed, missing int) {
	var b strings.Builder
	b.WriteString("killed:\n")
	edges := 0
	for _, k := range w.kills {
		fmt.Fprintf(&b, "  %5.1f s  %-9s  away %4d ms\n", k.at.Seconds(), k.victim, k.away.Milliseconds())
		if k.victim == "edge" {
			edges++
		}
	}
	fmt.Fprintf(&b, "everything acknowledged after %.1f s\n", calm.Seconds())
	fmt.Fprintf(&b, "%d entries journalled, %d stored (%d of them written twice to the evidence store), %d values in InfluxDB\n", journal, len(stored.entries), stored.copies, signed)
	fmt.Fprintf(&b, "%d answers of meters, %d of them on their way at one of %d kills of the agent", len(w.meters.taken()), missing, edges)
	w.t.Log(b.String())
}
