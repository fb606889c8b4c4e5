package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// An archive depends on its contents alone, and unpacks to them; the checksums are what sha256sum makes of it.
func TestArchive(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	files := map[string]string{"tagpin": filepath.Join(dir, "a"), "docs/x.md": filepath.Join(dir, "b")}
	for path, mode := range map[string]os.FileMode{"a": 0o700, "b": 0o600} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(path), mode); err != nil {
			t.Fatal(err)
		}
	}
	one, two := filepath.Join(out, "one.tar.gz"), filepath.Join(out, "two.tar.gz")
	if err := archive(one, files); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a"), later, later); err != nil {
		t.Fatal(err)
	}
	if err := archive(two, files); err != nil {
		t.Fatal(err)
	}
	a, errA := os.ReadFile(one)
	b, errB := os.ReadFile(two)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("two archives of the same files differ: %v %v", errA, errB)
	}
	if err := checksums(out); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"sha256sum", "--check", "--strict", "checksums.txt"}, {"tar", "-xzf", "one.tar.gz"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = out
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", args, err, text)
		}
	}
	info, err := os.Stat(filepath.Join(out, "tagpin"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program can't be run: %v %v", info, err)
	}
	if text, err := os.ReadFile(filepath.Join(out, "docs/x.md")); err != nil || string(text) != "b" {
		t.Errorf("%q, %v", text, err)
	}
}
