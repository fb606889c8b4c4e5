// Package archive unpacks the repository that Argo CD sends to a plugin, as if whoever made it were hostile. Call Unpack.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Limits bound an archive. A zero field stands for that of DefaultLimits.
type Limits struct {
	// TotalBytes and FileBytes bound the unpacked bytes in all and of one file.
	TotalBytes, FileBytes int64
	// Files bounds the files, directories and symbolic links.
	Files int
}

// DefaultLimits fit a large monorepo's working tree, and keep an archive bomb from filling the disk.
func DefaultLimits() Limits {
	return Limits{TotalBytes: 512 << 20, FileBytes: 64 << 20, Files: 50_000}
}

// OrDefault fills in the zero fields.
func (l Limits) OrDefault() Limits {
	d := DefaultLimits()
	if l.TotalBytes == 0 {
		l.TotalBytes = d.TotalBytes
	}
	if l.FileBytes == 0 {
		l.FileBytes = d.FileBytes
	}
	if l.Files == 0 {
		l.Files = d.Files
	}
	return l
}

// maxName bounds the path of an entry, in bytes. Git checkouts stay far below.
const maxName = 1024

// gitDir is never unpacked: no render needs the history.
const gitDir = ".git"

// errUnsafe is wrapped by the errors for archives that no honest repo-server sends.
var errUnsafe = errors.New("refused as unsafe")

// Unpack writes the files of a .tgz stream below root: regular files (mode 0644), directories (0755) and symbolic links that
// stay within root. It passes over .git, and refuses everything else. The result must still not be read but by way of
// os.Root: what a chain of links leads to is checked here, but only as far as it exists.
func Unpack(r io.Reader, root *os.Root, limits Limits) error {
	return UnpackSome(r, root, limits, func(string) bool { return true })
}

// UnpackSome is Unpack for the entries for which keep is true; it is given clean, slash-separated names.
func UnpackSome(r io.Reader, root *os.Root, limits Limits, keep func(name string) bool) error {
	return (&unpacker{root: root, limits: limits.OrDefault(), keep: keep}).unpack(r)
}

// An unpacker counts what it has written.
type unpacker struct {
	root   *os.Root
	limits Limits
	keep   func(string) bool
	rest   *Rest // takes the files that are not kept; nil: nobody does
	bytes  int64
	files  int
	dirs   map[string]bool
	links  map[string]string // what each says
}

func (u *unpacker) unpack(r io.Reader) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("the archive is not in gzip format: %w", err)
	}
	defer zip.Close()
	u.dirs, u.links = map[string]bool{".": true}, map[string]string{}
	entries := tar.NewReader(zip)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return u.checkLinks()
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if err := u.entry(header, entries); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	if name == "." || slices.Contains(strings.Split(name, "/"), gitDir) {
		return nil
	}
	if !u.keep(name) && (u.rest == nil || h.Typeflag != tar.TypeSymlink) {
		return u.putAside(name, h, content)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.mkdir(name)
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeReg:
		return u.file(name, h.Size, content)
	default:
		return fmt.Errorf("the archive's entry %q is neither a file, nor a directory or symbolic link: %w", name, errUnsafe)
	}
}

// entryName is the clean relative path of an entry.
func entryName(name string) (string, error) {
	switch {
	case len(name) > maxName:
		return "", fmt.Errorf("the archive has a path of %d bytes, more than %d: %w", len(name), maxName, errUnsafe)
	case path.IsAbs(name), strings.Contains(name, "\x00"), slices.Contains(strings.Split(name, "/"), ".."):
		return "", fmt.Errorf("the archive's entry %q leaves the work directory: %w", name, errUnsafe)
	}
	return path.Clean(name), nil
}

// count adds one file, directory or link.
func (u *unpacker) count() error {
	if u.files++; u.files > u.limits.Files {
		return fmt.Errorf("the repository has more than %d files: raise limits.archive-files in tagpin.yaml, or have Argo CD send "+
			"less of it (manifest-generate-paths)", u.limits.Files)
	}
	return nil
}

// mkdir makes a directory and, since an archive need not name them, those above it.
func (u *unpacker) mkdir(name string) error {
	if u.dirs[name] {
		return nil
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	u.dirs[name] = true
	err := u.root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the archive has %q twice: %w", name, errUnsafe)
	}
	return err
}

// file writes one regular file, which must be new: so nothing is written through a link.
func (u *unpacker) file(name string, size int64, content io.Reader) error {
	if err := u.weigh(name, size); err != nil {
		return err
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	return u.write(name, size, content)
}

// weigh adds the bytes of one file.
func (u *unpacker) weigh(name string, size int64) error {
	if size > u.limits.FileBytes {
		return fmt.Errorf("%s has %s, more than the limit of %s for one file: raise limits.file-bytes in tagpin.yaml, or keep such "+
			"files out of the repository", name, mebibytes(size), mebibytes(u.limits.FileBytes))
	}
	if u.bytes += size; u.bytes > u.limits.TotalBytes {
		return fmt.Errorf("the repository has more than %s of files: raise limits.archive-bytes in tagpin.yaml, or have Argo CD send "+
			"less of it (manifest-generate-paths)", mebibytes(u.limits.TotalBytes))
	}
	return nil
}

func (u *unpacker) write(name string, size int64, content io.Reader) error {
	file, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the archive has %q twice: %w", name, errUnsafe)
	}
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	defer file.Close()
	if _, err := io.CopyN(file, content, size); err != nil {
		return fmt.Errorf("unpacking %s: %w", name, err)
	}
	return file.Close()
}

// symlink keeps links as they are, relative. A stock argocd-cmp-server makes them absolute, which no os.Root would follow.
func (u *unpacker) symlink(name, target string) error {
	if path.IsAbs(target) || escapes(path.Join(path.Dir(name), target)) {
		return linkError(name, target)
	}
	if err := u.mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	u.links[name] = target
	err := u.root.Symlink(target, name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the archive has %q twice: %w", name, errUnsafe)
	}
	return err
}

// checkLinks finds links that leave root by way of other links, which no single entry shows.
func (u *unpacker) checkLinks() error {
	for name, target := range u.links {
		_, err := u.root.Stat(name)
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
			continue // those lead nowhere
		}
		return linkError(name, target)
	}
	return nil
}

func linkError(name, target string) error {
	return fmt.Errorf("the symbolic link %s leads out of the repository (to %q): remove it, or make it relative: %w", name, target, errUnsafe)
}

func escapes(clean string) bool {
	return clean == ".." || strings.HasPrefix(clean, "../")
}

func mebibytes(n int64) string {
	return fmt.Sprintf("%d MiB", int64(math.Ceil(float64(n)/(1<<20))))
}
