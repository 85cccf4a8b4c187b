package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The names everything in a run shares.
const (
	site = "bench"
	host = "bench-host"
)

// bench is one run.
type bench struct {
	ctx     context.Context
	dir     string // on a real disk; removed at the end of a run without error
	root    string // of the module
	short   bool
	profile string // folder for CPU profiles; empty means none
	group   string // benchmark that is running
	tools   tools
	servers []*process // running
	report  report
}

// tools are the programs of a run.
type tools struct {
	yunhe, edge, mosquitto, influxd string
	telegraf                        string // empty if there is none
	self                            string // this program, for its hidden modes
}

// open builds the programs, finds the servers and makes the work folder.
func open(ctx context.Context, o options) (*bench, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find module: %w", err)
	}
	b := &bench{ctx: ctx, root: filepath.Dir(strings.TrimSpace(string(mod))), short: o.short, profile: o.profile}
	parent := o.dir
	if parent == "" {
		parent = filepath.Join(b.root, "bin", "bench")
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(parent, "run-"); err != nil {
		return nil, err
	}
	disk, err := realDisk(b.dir)
	if err == nil {
		err = b.findTools()
	}
	if err == nil && b.profile != "" {
		b.profile, _ = filepath.Abs(b.profile)
		err = os.MkdirAll(b.profile, 0o755)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.dir))
	}
	b.report = report{
		Date: time.Now().UTC().Truncate(time.Second), Machine: machine(), Disk: disk,
		Versions: b.versions(), Short: o.short, Profiled: o.profile != "",
	}
	return b, nil
}

// close ends what runs and removes what was written; after a failure the logs
// stay to be looked at.
func (b *bench) close(failed bool) error {
	err := b.stopServers()
	if failed || err != nil {
		return errors.Join(err, fmt.Errorf("logs and configurations are in %s", b.dir))
	}
	return os.RemoveAll(b.dir)
}

// realDisk names the file system of dir and refuses one in memory: what is
// written there costs nothing and a sync takes no time.
func realDisk(dir string) (string, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, err)
	}
	const tmpfs, ramfs, overlay, ext, xfs, btrfs = 0x01021994, 0x858458f6, 0x794c7630, 0xef53, 0x58465342, 0x9123683e
	switch uint32(fs.Type) {
	case tmpfs, ramfs:
		return "", fmt.Errorf("%s is in memory: give a folder of a real disk with -dir", dir)
	case ext:
		return "ext4", nil
	case xfs:
		return "xfs", nil
	case btrfs:
		return "btrfs", nil
	case overlay:
		return "overlayfs", nil
	default:
		return fmt.Sprintf("file system 0x%x", uint32(fs.Type)), nil
	}
}

func (b *bench) findTools() error {
	bin := filepath.Join(b.dir, "bin")
	args := []string{"build", "-o", bin + "/"}
	env := os.Environ()
	if !b.short { // as they are released; a smoke test takes what the tests have compiled already
		args, env = append(args, "-trimpath", "-ldflags", "-s -w"), append(env, "CGO_ENABLED=0")
	}
	build := exec.CommandContext(b.ctx, "go", append(args, "./cmd/yunhe", "./cmd/yunhe-edge")...)
	build.Dir, build.Env = b.root, env
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build programs: %w\n%s", err, out)
	}
	b.tools = tools{yunhe: filepath.Join(bin, "yunhe"), edge: filepath.Join(bin, "yunhe-edge")}
	var err error
	if b.tools.self, err = os.Executable(); err != nil {
		return err
	}
	if b.tools.mosquitto, err = exec.LookPath("mosquitto"); err != nil {
		b.tools.mosquitto = "/usr/sbin/mosquitto"
	}
	b.tools.influxd = os.Getenv("YUNHE_INFLUXD")
	if b.tools.influxd == "" {
		b.tools.influxd = filepath.Join(b.root, ".tools", "influxd")
	}
	for _, path := range []string{b.tools.mosquitto, b.tools.influxd} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("there is no %s: run `make tools`", path)
		}
	}
	if path := filepath.Join(b.root, ".tools", "telegraf"); exists(path) {
		b.tools.telegraf = path
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (b *bench) versions() map[string]string {
	commit, _ := exec.Command("git", "-C", b.root, "describe", "--tags", "--always", "--dirty").Output()
	v := map[string]string{
		"yunhe":     strings.TrimSpace(string(commit)),
		"go":        versionOf("go", "env", "GOVERSION"),
		"influxd":   "1.8.10",
		"mosquitto": versionOf(b.tools.mosquitto, "-h"),
	}
	if b.tools.telegraf != "" {
		v["telegraf"] = versionOf(b.tools.telegraf, "--version")
	}
	return v
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// file writes a file of the run and returns its path.
func (b *bench) file(name, text string) (string, error) {
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o600)
}
