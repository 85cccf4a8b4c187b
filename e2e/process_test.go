package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that is started, ended and started again with the same
// command line. Its log is one file over all its lives.
type process struct {
	t      testing.TB
	name   string
	path   string
	args   []string
	log    string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the present life is over
	starts int
}

// newProcess prepares a program; the test's end kills it and, if the test has
// failed, shows the end of its log.
func newProcess(t testing.TB, name, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, path: path, args: args, log: filepath.Join(t.TempDir(), name+".log")}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			p.show()
		}
	})
	return p
}

// start starts the program.
func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.name, err)
	}
	p.starts++
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ended is in the state
		close(ended)
	}(p.cmd, p.ended)
}

// alive reports whether the program runs.
func (p *process) alive() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the program with SIGKILL, as losing its power would.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	<-p.ended
	p.cmd = nil
}

// stop ends the program in order and demands that it says it went well.
func (p *process) stop() {
	p.t.Helper()
	if !p.alive() {
		p.t.Fatalf("%s has ended by itself", p.name)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stop %s: %v", p.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("%s does not stop", p.name)
	}
	if !p.cmd.ProcessState.Success() && p.name != "mosquitto" {
		p.t.Errorf("stop %s: %s", p.name, p.cmd.ProcessState)
	}
	p.cmd = nil
}

// shownLog is how much of a log is shown, in bytes.
const shownLog = 6 << 10

func (p *process) show() {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return
	}
	if len(b) > shownLog {
		b = append([]byte("… "), b[len(b)-shownLog:]...)
	}
	p.t.Logf("log of %s:\n%s", p.name, b)
}

// logged reports whether the log holds a text.
func (p *process) logged(text string) bool {
	b, err := os.ReadFile(p.log)
	return err == nil && bytes.Contains(b, []byte(text))
}

// run runs a command to its end and returns what it printed; it must succeed.
func run(t testing.TB, path string, args ...string) string {
	t.Helper()
	out, err := try(path, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// try is run for commands that may fail.
func try(path string, args ...string) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(path), strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// ports hands out TCP ports below the range from which the system takes those
// of outgoing connections: a program that was killed must get its port again.
type ports struct {
	mu   sync.Mutex
	next int
}

const (
	firstPort = 10000
	portCount = 22000
)

// allPorts is one for all tests, so that none gets the port of another; other
// test processes begin elsewhere.
var allPorts = sync.OnceValue(func() *ports { return &ports{next: os.Getpid() * 101 % portCount} })

// freePort returns a TCP port on loopback that nobody uses.
func freePort(t testing.TB) int {
	t.Helper()
	p := allPorts()
	p.mu.Lock()
	defer p.mu.Unlock()
	for range portCount {
		port := firstPort + p.next
		p.next = (p.next + 1) % portCount
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

// eventually waits until check holds; what says it for people.
func eventually(t testing.TB, what string, limit time.Duration, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !check(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// listens reports whether somebody accepts connections on a loopback port.
func listens(port int) bool {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	return c.Close() == nil
}
