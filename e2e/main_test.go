package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs builds both programs once and returns the folder they are in.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "yunhe-e2e-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", "yunhe/cmd/yunhe", "yunhe/cmd/yunhe-edge").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("build programs: %w\n%s", err, out)
	}
	return dir, nil
})

// together is how many tests run at once: they wait more than they work.
const together = "6"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", together); err != nil {
		panic(err)
	}
	flag.Parse() // -parallel on the command line wins
	dir, err := programs()
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// program returns the path of a program that TestMain built.
func program(t testing.TB, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// mosquitto returns the path of the broker; Debian keeps it out of PATH.
func mosquitto(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path
	}
	const debian = "/usr/sbin/mosquitto"
	if _, err := os.Stat(debian); err != nil {
		const advice = "mosquitto is not installed: run `make tools`"
		if testing.Short() {
			t.Skip(advice)
		}
		t.Fatal(advice)
	}
	return debian
}
