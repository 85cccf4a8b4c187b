// Package influxtest starts a real InfluxDB 1.8 server for tests.
package influxtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Database is made by Start; as a bucket it is called "yunhe/autogen".
const Database = "yunhe"

// config keeps everything in one folder, on loopback, and reports to nobody.
const config = `reporting-disabled = true
bind-address = "127.0.0.1:%d"
[meta]
  dir = %q
[data]
  dir = %q
  wal-dir = %q
[coordinator]
  write-timeout = "60s"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:%d"
  log-enabled = false
[logging]
  level = "error"
  suppress-logo = true
`

// Server is a running influxd.
type Server struct {
	URL  string
	dir  string
	port [2]int
	cmd  *exec.Cmd
}

// Start runs influxd with an empty database until the test ends. kill ends it
// at once, as a power cut ends a process; calling it again does nothing. A
// test that finds no server fails, or is skipped with -short.
func Start(tb testing.TB) (url string, kill func()) {
	tb.Helper()
	s := New(tb)
	return s.URL, s.Kill
}

// New is Start for tests that kill the server and start it again.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{dir: tb.TempDir()}
	for i := range s.port {
		s.port[i] = freePort(tb)
	}
	s.URL = fmt.Sprintf("http://127.0.0.1:%d", s.port[0])
	text := fmt.Sprintf(config, s.port[1], filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "data"), filepath.Join(s.dir, "wal"), s.port[0])
	if err := os.WriteFile(s.path(), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Kill)
	s.Run(tb)
	return s
}

func (s *Server) path() string { return filepath.Join(s.dir, "influxdb.conf") }

// Run starts the server, again after a Kill, and waits until it answers.
func (s *Server) Run(tb testing.TB) {
	tb.Helper()
	s.Kill()
	s.cmd = exec.Command(binary(tb), "run", "-config", s.path())
	out, err := os.Create(filepath.Join(s.dir, "influxd.log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		tb.Fatalf("start influxd: %v", err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := s.createDatabase()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(out.Name())
			tb.Fatalf("influxd does not answer at %s: %v\n%.2000s", s.URL, err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Kill ends the server with SIGKILL.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

func (s *Server) createDatabase() error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.PostForm(s.URL+"/query", url.Values{"q": {"CREATE DATABASE " + Database}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// freePort returns a port below those that the system hands out, drawn at
// random: tests of other packages start servers at the same time, and two that
// met would answer for each other.
func freePort(tb testing.TB) int {
	tb.Helper()
	for range 100 {
		port := 10000 + rand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	tb.Fatal("no free port between 10000 and 30000")
	return 0
}

// binary finds influxd: YUNHE_INFLUXD, or .tools/influxd at the module root.
func binary(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("YUNHE_INFLUXD"); path != "" {
		return path
	}
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	path := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), ".tools", "influxd")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err == nil {
		return path
	}
	const advice = "there is no influxd: run `make tools`, or set YUNHE_INFLUXD to the path of an influxd 1.8"
	if testing.Short() {
		tb.Skip(advice)
	}
	tb.Fatal(advice)
	return ""
}
