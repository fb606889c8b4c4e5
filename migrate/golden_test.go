package migrate_test

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tagpin/tagpin/migrate"
)

// Each archive in testdata is a case: what is given, and what comes out of it. UPDATE_GOLDEN=1 writes what comes out; read the
// difference before it is committed. The comment at its top says what it shows; lines of the form "key: value" in it are flags.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := result(a)
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(txtar.Format(a)), string(txtar.Format(got))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

const wanted = "want/"

// result is the archive with what comes out in the place of what is wanted.
func result(a *txtar.Archive) *txtar.Archive {
	in, flags := input(a)
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, wanted) {
			out.Files = append(out.Files, f)
		}
	}
	add := func(name string, data []byte) {
		out.Files = append(out.Files, txtar.File{Name: wanted + name, Data: data})
	}
	turn := migrate.Forward
	if flags["back"] != "" {
		turn = migrate.Back
	}
	made, err := turn(in)
	if err != nil {
		add("error", []byte(err.Error()+"\n"))
		return out
	}
	add("manifest.yaml", made.Manifest)
	for _, f := range made.Files {
		if f.Before != nil {
			add("before/"+f.Path, f.Before)
		}
		if f.After != nil {
			add("after/"+f.Path, f.After)
		} else {
			add("deleted/"+f.Path, nil)
		}
	}
	var notes bytes.Buffer
	for _, n := range made.Notes {
		fmt.Fprintf(&notes, "%t %s\n", n.Warning, n)
	}
	add("notes", notes.Bytes())
	if flags["steps"] != "" {
		add("steps", []byte(strings.Join(made.Steps, "\n\n")+"\n"))
	}
	return out
}

func input(a *txtar.Archive) (migrate.Input, map[string]string) {
	flags := map[string]string{}
	for line := range strings.Lines(string(a.Comment)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			flags[key] = value
		}
	}
	in := migrate.Input{Name: flags["name"], WriteBackMethod: flags["method"], SourceType: flags["type"]}
	dirs := map[string]int{}
	for _, f := range a.Files {
		switch dir := path.Dir(f.Name); {
		case strings.HasPrefix(f.Name, wanted):
		case f.Name == "manifest.yaml":
			in.Manifest = f.Data
		case f.Name == "updater.yaml":
			in.Updater = f.Data
		default:
			if _, known := dirs[dir]; !known {
				dirs[dir] = len(in.Directories)
				in.Directories = append(in.Directories, migrate.Directory{Path: dir, Files: map[string][]byte{}})
			}
			in.Directories[dirs[dir]].Files[path.Base(f.Name)] = f.Data
		}
	}
	return in, flags
}
