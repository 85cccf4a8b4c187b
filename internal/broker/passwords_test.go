package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	p, err := ReadPasswords(path)
	if err != nil || len(p) != 0 {
		t.Fatalf("a missing file: %v, %v; want no account", p, err)
	}
	password, err := p.Set("site-a.gw-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), password) {
		t.Error("the file holds the password in clear")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the file is open to others: %v %v", info.Mode(), err)
	}
	again, err := ReadPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	if !again["site-a.gw-1"].Matches([]byte(password)) {
		t.Error("the password does not match after a read")
	}
	if again["site-a.gw-1"].Matches([]byte(password + "x")) {
		t.Error("another password matches")
	}
	if (Secret{}).Matches(nil) || (Secret{}).Matches([]byte{}) {
		t.Error("the zero secret matches something")
	}
}

// TestMosquittoReadsOurSecrets has mosquitto's own tool write a password that
// we must accept: both brokers share one file.
func TestMosquittoReadsOurSecrets(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Fatal("mosquitto_passwd is not installed: run make tools")
	}
	path := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(tool, "-b", "-c", path, "gw", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p, err := ReadPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	if !p["gw"].Matches([]byte("right")) || p["gw"].Matches([]byte("wrong")) {
		t.Error("a secret of mosquitto_passwd is not understood")
	}
}

func TestPasswordFileFaults(t *testing.T) {
	for text, want := range map[string]string{
		"no colon here":                  ":1: no name before a colon",
		"gw:plain":                       "set it again",
		"gw:$7$0$AAAA$AAAA":              "iterations",
		"gw:$7$999999999$AAAA$AAAA":      "iterations",
		"# fine\n\ngw:$7$101$AAAA$AAAA":  ":3: account gw: password hash is not 64 bytes",
		"gw:$7$101$%%%%$AAAA":            "decode salt",
		"gw:$6$101$AAAA$AAAA$AAAA$AAAAA": "$7$ITERATIONS",
	} {
		path := filepath.Join(t.TempDir(), "passwords")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPasswords(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestPasswordFileFollows: an account set or withdrawn by a command takes
// effect in a running broker, and a damaged file changes nothing.
func TestPasswordFileFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	f, err := OpenPasswords(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		defer func() { cancel(); <-done }()
		p := Passwords{}
		if _, err := p.Set("gw"); err != nil {
			t.Fatal(err)
		}
		if err := p.Write(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * watchEvery)
		if _, ok := f.Secret("gw"); !ok {
			t.Error("a new account is not taken up")
		}
		damaged := path + ".damaged"
		if err := os.WriteFile(damaged, []byte("no colon"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(damaged, path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * watchEvery)
		if _, ok := f.Secret("gw"); !ok {
			t.Error("a damaged file took the accounts away")
		}
	})
}

func TestNamesThatBreakTheFile(t *testing.T) {
	for _, name := range []string{"", "a:b", "a\nb", "a b", "#a", strings.Repeat("a", 257), "a\xff"} {
		p := Passwords{}
		if _, err := p.Set(name); err == nil || len(p) != 0 {
			t.Errorf("an account named %q is made: %v", name, err)
		}
	}
}

// TestSetPasswordTogether: of accounts made at once none is lost.
func TestSetPasswordTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := SetPassword(path, fmt.Sprintf("park.gw-%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all, err := ReadPasswords(path); err != nil || len(all) != 10 {
		t.Errorf("%d accounts, %v; want 10", len(all), err)
	}
}
