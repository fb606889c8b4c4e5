package archive

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tgz is an archive of files that hold their own names.
func tgz(t *testing.T, names ...string) io.Reader {
	t.Helper()
	var headers []tar.Header
	for _, name := range names {
		headers = append(headers, file(name, name))
	}
	return bytes.NewReader(entries(t, headers...))
}

// What isn't kept is no file until it is asked for, and then it is what it would have been.
func TestRest(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	rest, err := UnpackFirst(tgz(t, "apps/a/x.yaml", "base/k/y.yaml", "base/k/deep/z.yaml", "base/other.yaml", "notes.md"), root, Limits{},
		func(name string) bool { return strings.HasPrefix(name, "apps/a/") })
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	wantFiles(t, dir, "apps/a/x.yaml")
	if rest.Len() != 4 || !rest.Has("base/k") || !rest.Has("notes.md") || rest.Has("base/none") {
		t.Errorf("%d files are left", rest.Len())
	}
	files, err := rest.Unpack("base/k")
	if slices.Sort(files); err != nil || !slices.Equal(files, []string{"base/k/deep/z.yaml", "base/k/y.yaml"}) {
		t.Errorf("unpacked %v, %v", files, err)
	}
	wantFiles(t, dir, "apps/a/x.yaml", "base/k/deep/z.yaml", "base/k/y.yaml")
	if _, err := rest.Unpack("."); err != nil || rest.Len() != 0 {
		t.Errorf("%v; %d files are left", err, rest.Len())
	}
	wantFiles(t, dir, "apps/a/x.yaml", "base/k/deep/z.yaml", "base/k/y.yaml", "base/other.yaml", "notes.md")
}

// wantFiles compares the files below dir; each holds its own name.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		got = append(got, name)
		if text, err := os.ReadFile(path); err != nil || string(text) != name {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
		return nil
	})
	if slices.Sort(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("files %v (%v), want %v", got, err, want)
	}
}

// The limits are those of the whole archive, wherever its files go.
func TestRestIsBounded(t *testing.T) {
	for name, limits := range map[string]Limits{"files": {Files: 3}, "bytes": {TotalBytes: 10}, "one file": {FileBytes: 1}} {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnpackFirst(tgz(t, "a1", "a2", "a3", "a4", "a5", "a6"), root, limits, func(string) bool { return false }); err == nil {
			t.Errorf("%s: no limit", name)
		}
		root.Close()
	}
}

// Unpacked in two steps an archive is what it is in one, and what is refused in one is refused in two.
func TestRestIsAllOfTheArchive(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"files":          {file("a/x", "1"), file("b/y", "2"), file("b/c/z", "3")},
		"empty folders":  {folder("a"), folder("b"), folder("b/empty"), file("b/y", "2")},
		"links":          {file("a/x", "1"), link("a/l", "../b/y"), link("b/m", "y"), file("b/y", "2"), link("c", "b")},
		"git":            {file("b/.git/config", "x"), file("b/y", "2")},
		"twice":          {file("b/y", "1"), file("b/y", "2")},
		"outside":        {file("b/../../y", "1")},
		"link outside":   {link("b/l", "../../x")},
		"through a link": {link("b", "a"), file("b/y", "1")},
		"device":         {{Typeflag: tar.TypeChar, Name: "b/null"}},
	} {
		t.Run(name, func(t *testing.T) {
			data := entries(t, headers...)
			whole, parts := t.TempDir(), t.TempDir()
			wholeErr := inRoot(t, whole, func(root *os.Root) error { return Unpack(bytes.NewReader(data), root, Limits{}) })
			partsErr := inRoot(t, parts, func(root *os.Root) error {
				rest, err := UnpackFirst(bytes.NewReader(data), root, Limits{}, func(name string) bool { return strings.HasPrefix(name, "a") })
				if err != nil {
					return err
				}
				defer rest.Close()
				_, err = rest.Unpack(".")
				return err
			})
			if (wholeErr == nil) != (partsErr == nil) {
				t.Fatalf("in one step %v, in two %v", wholeErr, partsErr)
			}
			if diff := cmp.Diff(tree(t, whole), tree(t, parts)); wholeErr == nil && diff != "" {
				t.Errorf("(-one step +two)\n%s", diff)
			}
		})
	}
}

func inRoot(t *testing.T, dir string, do func(*os.Root) error) error {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return do(root)
}
