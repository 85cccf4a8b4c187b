package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program under measurement, or one that it needs.
type process struct {
	name string
	log  string // its output
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended
}

// start runs a program in the background; its output goes to a file.
func (b *bench) start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, log: filepath.Join(b.dir, name+".log"), cmd: cmd, done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	// Own group, so that an interrupt from the terminal reaches them in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { cmd.Wait(); close(p.done) }()
	b.servers = append(b.servers, p)
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(15 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop in 15 s and was killed", p.name)
	}
}

// ended gives an error with the end of the log once the process is gone.
func (p *process) ended() error {
	select {
	case <-p.done:
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s ended: %s", p.name, text[max(0, len(text)-1000):])
	default:
		return nil
	}
}

// stopServers ends everything that was started, the newest first.
func (b *bench) stopServers() (err error) {
	for len(b.servers) > 0 {
		last := len(b.servers) - 1
		err = errors.Join(err, b.servers[last].stop())
		b.servers = b.servers[:last]
	}
	return err
}

// usage is what a process has used so far.
type usage struct {
	at      time.Time
	cpu     time.Duration // user and system time
	rss     int64         // bytes, now
	peak    int64         // bytes, the most since the last resetPeak
	written int64         // bytes its writes caused to go to the disk
}

// clockTick is the unit of times in /proc/PID/stat: 1/USER_HZ, which is 100
// on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// usage reads /proc/PID/stat, status and io.
func (p *process) usage() (usage, error) {
	u := usage{at: time.Now()}
	stat, err := p.proc("stat")
	if err != nil {
		return u, err
	}
	_, rest, _ := strings.Cut(stat, ") ") // the name may hold blanks
	f := strings.Fields(rest)
	if len(f) < 13 {
		return u, fmt.Errorf("read %s: %q", p.name, stat)
	}
	for _, ticks := range f[11:13] {
		n, err := strconv.ParseInt(ticks, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read %s: %w", p.name, err)
		}
		u.cpu += time.Duration(n) * clockTick
	}
	status, err := p.proc("status")
	if err != nil {
		return u, err
	}
	rss, err1 := kilobytes(status, "VmRSS")
	peak, err2 := kilobytes(status, "VmHWM")
	io, err3 := p.proc("io")
	written, ok := field(io, "write_bytes")
	u.rss, u.peak = rss<<10, peak<<10
	u.written, err = strconv.ParseInt(written, 10, 64)
	if !ok {
		err = fmt.Errorf("no write_bytes in /proc/PID/io of %s", p.name)
	}
	return u, errors.Join(err1, err2, err3, err)
}

// resetPeak makes VmHWM begin anew.
func (p *process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

func (p *process) proc(file string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	return string(b), err
}

// field returns the text after "name:" at the start of a line.
func field(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

func kilobytes(text, name string) (int64, error) {
	v, ok := field(text, name)
	if !ok {
		return 0, fmt.Errorf("no %s in /proc", name)
	}
	return strconv.ParseInt(strings.TrimSuffix(v, " kB"), 10, 64)
}

// until waits for a condition that another process brings about; p may be nil.
func (b *bench) until(what string, limit time.Duration, p *process, ok func() bool) error {
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if p != nil {
			if err := p.ended(); err != nil {
				return err
			}
		}
		switch {
		case b.ctx.Err() != nil:
			return b.ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("after %s still not: %s", limit, what)
		}
	}
	return nil
}

// sleep waits, unless the run is interrupted or the process ends.
func (b *bench) sleep(d time.Duration, p *process) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-p.done:
		return p.ended()
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}
