package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// figure is one measured thing: the values of its runs.
type figure struct {
	Group  string    `json:"group"`
	What   string    `json:"what"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"`
	Goal   string    `json:"goal,omitempty"`
	Note   string    `json:"note,omitempty"`
}

func (f figure) median() float64 {
	v := slices.Sorted(slices.Values(f.Values))
	if len(v) == 0 {
		return 0
	}
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// text gives the median, and beside it minimum and maximum of several runs.
func (f figure) text() string {
	switch len(f.Values) {
	case 0:
		return "too short to tell"
	case 1:
		return short(f.Values[0])
	}
	return fmt.Sprintf("%s (%s–%s)", short(f.median()), short(slices.Min(f.Values)), short(slices.Max(f.Values)))
}

// short writes three significant digits, and whole numbers from 100 on.
func short(x float64) string {
	switch a := max(x, -x); {
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.1f", x)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", x)
	default:
		return fmt.Sprintf("%.3f", x)
	}
}

// report is everything one run found out.
type report struct {
	Date       time.Time         `json:"date"`
	Machine    string            `json:"machine"`
	Disk       string            `json:"disk"`
	Versions   map[string]string `json:"versions"`
	Short      bool              `json:"short"`
	Profiled   bool              `json:"profiled"`
	Seconds    float64           `json:"seconds"`
	LoadBefore []string          `json:"load_before"`
	Figures    []figure          `json:"figures"`
	Notes      []string          `json:"notes"`
}

// add takes a figure with the values of its runs.
func (b *bench) add(what, unit, goal string, values ...float64) {
	b.report.Figures = append(b.report.Figures, figure{Group: b.group, What: what, Unit: unit, Goal: goal, Values: values})
}

// note takes a sentence that belongs to the figures.
func (b *bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, b.group+": "+fmt.Sprintf(format, args...))
}

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n%s; working on %s\n", r.Date.Format(time.RFC3339), r.Machine, r.Disk)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(out, "%s %s; ", name, r.Versions[name])
	}
	fmt.Fprintf(out, "%.0f s in all; load average before: %s\n", r.Seconds, strings.Join(r.LoadBefore, ", "))
	if r.Short {
		fmt.Fprintln(out, "A SMOKE TEST: too little was measured for these figures to be used.")
	}
	if r.Profiled {
		fmt.Fprintln(out, "PROFILED: collector and agent ran inside the benchmark's own program.")
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tfigure\tmedian (min–max)\tunit\tgoal")
	group := ""
	for _, f := range r.Figures {
		name := ""
		if f.Group != group {
			group, name = f.Group, f.Group
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, f.What, f.text(), f.Unit, f.Goal)
	}
	w.Flush()
	fmt.Fprintln(out)
	for _, n := range r.Notes {
		fmt.Fprintln(out, "-", n)
	}
}

func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// machine names processor, cores, memory and kernel.
func machine() string {
	model, memory := "unknown processor", ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if v, ok := field(string(text), "model name"); ok {
			model = v
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if kB, err := kilobytes(string(text), "MemTotal"); err == nil {
			memory = fmt.Sprintf(", %.1f GB", float64(kB)/1e6)
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d cores%s, Linux %s", model, runtime.NumCPU(), memory, strings.TrimSpace(string(kernel)))
}

// loadAverage returns the load of the last minute: above the number of cores
// other work has disturbed the figures.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// versionOf returns the first line a program prints about its version.
func versionOf(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
