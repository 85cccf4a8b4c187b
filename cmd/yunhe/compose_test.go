package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeFile = "../../docker-compose.yml"

// TestCompose reads docker-compose.yml as Docker does and holds it to the
// programs: every flag of every command is one they have, every file named in
// a command or by a health check is one that setup writes, no image floats, no
// password stands in the file, and nothing listens beyond loopback.
func TestCompose(t *testing.T) {
	project := loadCompose(t)
	inside := t.TempDir() // stands for the root of the containers
	for _, dir := range []string{"etc/yunhe", "etc/yunhe-edge", "var/lib/yunhe", "var/lib/yunhe-edge"} {
		if err := os.MkdirAll(filepath.Join(inside, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	setup := project.Services["setup"]
	yunhe(t, 0, within(inside, setup.Command)...)
	edgeBinary := buildEdge(t)
	for name, s := range project.Services {
		t.Run(name, func(t *testing.T) {
			checkImage(t, s)
			checkPorts(t, s)
			checkFiles(t, inside, s)
			if s.HealthCheck == nil && name != "setup" {
				t.Error("no health check")
			}
			switch {
			case s.Image != "yunhe:local":
			case len(s.Entrypoint) > 0:
				args := within(inside, s.Command)
				args[0] = "check" // the same flags, without running
				if out, err := exec.Command(edgeBinary, args...).CombinedOutput(); err != nil {
					t.Errorf("yunhe-edge %v: %v\n%s", args, err, out)
				}
			default:
				parses(t, within(inside, s.Command))
				if s.HealthCheck != nil {
					parses(t, s.HealthCheck.Test[2:])
				}
			}
		})
	}
}

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	root, err := filepath.Abs(filepath.Dir(composeFile))
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(root, "docker-compose.yml")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// within moves the absolute paths of a command under dir.
func within(dir string, command []string) []string {
	out := slices.Clone(command)
	for i, arg := range out {
		flag, path, isFlag := strings.Cut(arg, "=")
		switch {
		case isFlag && strings.HasPrefix(path, "/"):
			out[i] = flag + "=" + dir + path
		case strings.HasPrefix(arg, "/"):
			out[i] = dir + arg
		}
	}
	return out
}

// parses checks a command line against the flags of yunhe.
func parses(t *testing.T, args []string) {
	t.Helper()
	var cli commands
	parser, err := kong.New(&cli, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}), kong.Vars{"version": version})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("yunhe %s: %v", strings.Join(args, " "), err)
	}
}

func buildEdge(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "yunhe-edge")
	if out, err := exec.Command("go", "build", "-o", path, "yunhe/cmd/yunhe-edge").CombinedOutput(); err != nil {
		t.Fatalf("build yunhe-edge: %v\n%s", err, out)
	}
	return path
}

func checkImage(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	_, tag, ok := strings.Cut(s.Image, ":")
	if !ok || tag == "latest" || (tag != "local" && strings.Count(tag, ".") != 2) {
		t.Errorf("image %s is not pinned to a version", s.Image)
	}
	for key, value := range s.Environment {
		if secret := strings.Contains(key, "PASSWORD") || strings.Contains(key, "TOKEN"); secret && (value == nil || !strings.HasSuffix(key, "_FILE")) {
			t.Errorf("%s: a secret is given by file only", key)
		}
	}
}

func checkPorts(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	for _, p := range s.Ports {
		if p.HostIP != "127.0.0.1" {
			t.Errorf("port %d is published on %q", p.Target, p.HostIP)
		}
	}
}

// checkFiles: every file that a command or a variable names in a volume was
// written by setup.
func checkFiles(t *testing.T, inside string, s types.ServiceConfig) {
	t.Helper()
	words := slices.Clone([]string(s.Command))
	for key, value := range s.Environment {
		if strings.HasSuffix(key, "_FILE") && value != nil {
			words = append(words, *value)
		}
	}
	for _, word := range words {
		if i := strings.Index(word, "/etc/yunhe"); i >= 0 {
			if _, err := os.Stat(inside + word[i:]); err != nil {
				t.Errorf("%s names a file that setup does not write: %v", word, err)
			}
		}
	}
	for _, v := range s.Volumes {
		if !strings.HasPrefix(v.Target, "/etc/yunhe") && !strings.HasPrefix(v.Target, "/var/lib/") {
			t.Errorf("volume at %s", v.Target)
		}
	}
}
