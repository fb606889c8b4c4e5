package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/util/io/files"
	"github.com/google/go-cmp/cmp"
)

// entries makes a .tgz of headers; a file's content is that of its Linkname, which a file does not need otherwise.
func entries(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o6777
		}
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content}
}
func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}
func folder(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }

// unpackIn unpacks into dir/work, beside which lies a file that nobody may touch.
func unpackIn(t testing.TB, dir string, archive []byte, l Limits) error {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "canary"), []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "work"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = Unpack(bytes.NewReader(archive), root, l)
	if got, _ := os.ReadFile(filepath.Join(dir, "canary")); string(got) != "untouched" {
		t.Errorf("the file beside the work directory became %q", got)
	}
	found, _ := os.ReadDir(dir)
	if len(found) != 2 {
		t.Errorf("something else was written beside the work directory: %v", found)
	}
	return err
}

// tree describes every entry below dir.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case d.IsDir():
			found[name] = "directory " + info.Mode().String()
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			found[name] = "link " + target
		default:
			text, err := os.ReadFile(path)
			found[name] = info.Mode().String() + " " + string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	err := unpackIn(t, dir, entries(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "0123"}},
		folder("."), folder("apps"), file("apps/Chart.yaml", "name: x"), file("./apps/run.sh", "#!"), file("apps/empty", ""),
		folder("apps/none"), file("deep/down/here", "x"), link("apps/values.yaml", "../deep/down/here"), link("apps/dangling", "absent"),
		folder(".git"), file(".git/config", "canary"), file("apps/sub/.git", "canary"), link("a/.git/x", "../../../.."),
		file("apps/.gitignore", "y"), link("loop", "loop"),
	), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"apps": "directory drwxr-xr-x", "apps/Chart.yaml": "-rw-r--r-- name: x", "apps/run.sh": "-rw-r--r-- #!", "apps/empty": "-rw-r--r-- ",
		"apps/none": "directory drwxr-xr-x", "apps/values.yaml": "link ../deep/down/here", "apps/dangling": "link absent",
		"apps/.gitignore": "-rw-r--r-- y", "deep": "directory drwxr-xr-x", "deep/down": "directory drwxr-xr-x",
		"deep/down/here": "-rw-r--r-- x", "loop": "link loop",
	}
	if diff := cmp.Diff(want, tree(t, filepath.Join(dir, "work"))); diff != "" {
		t.Error(diff)
	}
}

// Argo CD's own packing and unpacking is the oracle: the same files with the same content and mode.
func TestUnpackLikeArgoCD(t *testing.T) {
	source := filepath.Join(t.TempDir(), "work")
	err := unpackIn(t, filepath.Dir(source), entries(t, file("a/Chart.yaml", "name: a"), file("a/templates/x.yaml", strings.Repeat("x: y\n", 9999)),
		file("b/empty", ""), file("ü/é.txt", "1"), folder("none"), link("a/link", "../b/empty")), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if _, err := files.Tgz(source, nil, nil, &archive); err != nil {
		t.Fatal(err)
	}
	theirs, ours := t.TempDir(), t.TempDir()
	if err := files.Untgz(theirs, bytes.NewReader(archive.Bytes()), 1<<30, false); err != nil {
		t.Fatal(err)
	}
	if err := unpackIn(t, ours, archive.Bytes(), Limits{}); err != nil {
		t.Fatal(err)
	}
	want := tree(t, theirs)
	want["a/link"] = "link ../b/empty" // theirs is absolute
	if diff := cmp.Diff(want, tree(t, filepath.Join(ours, "work"))); diff != "" {
		t.Error(diff)
	}
}

func TestUnpackRefuses(t *testing.T) {
	tiny := Limits{TotalBytes: 3 << 20, FileBytes: 2 << 20, Files: 10}
	var many []tar.Header
	for _, c := range "abcdefghijk" {
		many = append(many, file(string(c), ""))
	}
	good := entries(t, file("a", "x"))
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"dot dot":          {entries(t, file("../canary", "x")), `the archive's entry "../canary" leaves the work directory: refused as unsafe`},
		"dot dot inside":   {entries(t, file("a/../../canary", "x")), `the archive's entry "a/../../canary" leaves the work directory: refused as unsafe`},
		"absolute":         {entries(t, file("/tmp/canary", "x")), `the archive's entry "/tmp/canary" leaves the work directory: refused as unsafe`},
		"long path":        {entries(t, file(strings.Repeat("a/", 600)+"x", "")), `the archive has a path of 1201 bytes, more than 1024: refused as unsafe`},
		"symlink out":      {entries(t, link("a", "../canary")), `the symbolic link a leads out of the repository (to "../canary"): remove it, or make it relative: refused as unsafe`},
		"symlink absolute": {entries(t, link("a", "/etc/passwd")), `the symbolic link a leads out of the repository (to "/etc/passwd"): remove it, or make it relative: refused as unsafe`},
		"symlink out by way of another": {entries(t, folder("d"), link("d/up", ".."), link("x", "d/up/../canary")),
			`the symbolic link x leads out of the repository (to "d/up/../canary"): remove it, or make it relative: refused as unsafe`},
		"write through a link to a directory": {entries(t, folder("d"), link("a", "d"), file("a/x", "")), `the archive has "a" twice: refused as unsafe`},
		"write through a link to a file":      {entries(t, file("f", "old"), link("a", "f"), file("a", "new")), `the archive has "a" twice: refused as unsafe`},
		"write through a dangling link":       {entries(t, link("a", "b"), file("a", "new")), `the archive has "a" twice: refused as unsafe`},
		"directory over a link":               {entries(t, link("a", "b"), folder("a")), `the archive has "a" twice: refused as unsafe`},
		"link over a file":                    {entries(t, file("a", ""), link("a", "b")), `the archive has "a" twice: refused as unsafe`},
		"hard link":                           {entries(t, tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "../canary"}), `the archive's entry "a" is neither a file, nor a directory or symbolic link: refused as unsafe`},
		"device":                              {entries(t, tar.Header{Typeflag: tar.TypeChar, Name: "a"}), `the archive's entry "a" is neither a file, nor a directory or symbolic link: refused as unsafe`},
		"fifo":                                {entries(t, tar.Header{Typeflag: tar.TypeFifo, Name: "a"}), `the archive's entry "a" is neither a file, nor a directory or symbolic link: refused as unsafe`},
		"large file": {entries(t, file("a", strings.Repeat("\x00", 2<<20+1))),
			"a has 3 MiB, more than the limit of 2 MiB for one file: raise limits.file-bytes in tagpin.yaml, or keep such files out of the repository"},
		"bomb": {entries(t, file("a", strings.Repeat("\x00", 2<<20)), file("b", strings.Repeat("\x00", 2<<20))),
			"the repository has more than 3 MiB of files: raise limits.archive-bytes in tagpin.yaml, or have Argo CD send less of it (manifest-generate-paths)"},
		"many files": {entries(t, many...),
			"the repository has more than 10 files: raise limits.archive-files in tagpin.yaml, or have Argo CD send less of it (manifest-generate-paths)"},
		"many directories": {entries(t, file("a/b/c/d/e/f/g/h/i/j/k/l", "")),
			"the repository has more than 10 files: raise limits.archive-files in tagpin.yaml, or have Argo CD send less of it (manifest-generate-paths)"},
		"truncated":        {good[:len(good)-20], "reading the archive: unexpected EOF"},
		"no gzip":          {[]byte("plain text"), "the archive is not in gzip format: gzip: invalid header"},
		"empty":            {nil, "the archive is not in gzip format: EOF"},
		"trailing garbage": {append(bytes.Clone(good), "garbage"...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := unpackIn(t, t.TempDir(), c.archive, tiny); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("error\n got: %s\nwant: %s", got, c.want)
			}
		})
	}
}

// Whatever a stream holds, nothing is written outside of the work directory, and no link leads out of it.
func FuzzUnpack(f *testing.F) {
	for _, headers := range [][]tar.Header{
		{file("a", "x"), folder("b"), link("b/c", "../a")},
		{file("../canary", "x")}, {link("a", ".."), file("a/canary", "x")}, {folder("d"), link("d/up", ".."), link("x", "d/up/../canary")},
		{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "../canary"}}, {file(strings.Repeat("é/", 40)+"x", "y")},
	} {
		zip, err := gzip.NewReader(bytes.NewReader(entries(f, headers...)))
		if err != nil {
			f.Fatal(err)
		}
		var plain bytes.Buffer
		if _, err := plain.ReadFrom(zip); err != nil {
			f.Fatal(err)
		}
		f.Add(plain.Bytes())
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		var archive bytes.Buffer
		zip := gzip.NewWriter(&archive)
		_, _ = zip.Write(plain)
		zip.Close()
		dir := t.TempDir()
		limits := Limits{TotalBytes: 1 << 20, FileBytes: 1 << 20, Files: 100}
		if unpackIn(t, dir, archive.Bytes(), limits) != nil {
			return
		}
		for name, what := range tree(t, filepath.Join(dir, "work")) {
			if !strings.HasPrefix(what, "link ") {
				continue
			}
			real, err := filepath.EvalSymlinks(filepath.Join(dir, "work", name))
			if err == nil && !strings.HasPrefix(real+"/", filepath.Join(dir, "work")+"/") {
				t.Errorf("%s leads to %s", name, real)
			}
		}
	})
}
