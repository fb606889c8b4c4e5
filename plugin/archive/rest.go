package archive

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strings"
)

// A Rest is the files of an archive that were not unpacked, one after the other in a file without a name: ten thousand files
// that nobody reads cost what one does. Unpack makes files of those that somebody needs after all. Close it.
type Rest struct {
	u     *unpacker
	spool *os.File
	out   *bufio.Writer
	size  int64
	aside map[string]span
	dirs  map[string]bool // those that were not made, and those above the files
}

// A span is where a file is in the spool.
type span struct{ offset, size int64 }

// spoolBuffer makes writes of what are mostly small files.
const spoolBuffer = 256 << 10

// spoolName is the spool's for a moment, before anything is unpacked.
const spoolName = "spool"

// UnpackFirst is UnpackSome that keeps the other files for later. Symbolic links are all made: they cost little, and tell what
// they lead to. root is empty before. The limits count for all files together.
func UnpackFirst(r io.Reader, root *os.Root, limits Limits, keep func(name string) bool) (*Rest, error) {
	spool, err := root.OpenFile(spoolName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("making room for the archive: %w", err)
	}
	rest := &Rest{spool: spool, out: bufio.NewWriterSize(spool, spoolBuffer), aside: map[string]span{}, dirs: map[string]bool{}}
	rest.u = &unpacker{root: root, limits: limits.OrDefault(), keep: keep, rest: rest}
	if err = root.Remove(spoolName); err == nil {
		err = rest.u.unpack(r)
	}
	if err == nil {
		err = rest.out.Flush()
	}
	if err != nil {
		spool.Close()
		return nil, err
	}
	rest.u.limits.Files = math.MaxInt // all have been counted
	return rest, nil
}

// putAside keeps a file for later, where there is a Rest, and passes over everything else.
func (u *unpacker) putAside(name string, h *tar.Header, content io.Reader) error {
	if u.rest == nil {
		return nil
	}
	switch h.Typeflag {
	case tar.TypeDir:
		u.rest.dirs[name] = true
		return u.count()
	case tar.TypeReg:
		if err := u.weigh(name, h.Size); err != nil {
			return err
		}
		if err := u.count(); err != nil {
			return err
		}
		return u.rest.put(name, h.Size, content)
	default:
		return fmt.Errorf("the archive's entry %q is neither a file, nor a directory or symbolic link: %w", name, errUnsafe)
	}
}

func (r *Rest) put(name string, size int64, content io.Reader) error {
	if _, twice := r.aside[name]; twice {
		return fmt.Errorf("the archive has %q twice: %w", name, errUnsafe)
	}
	if _, err := io.CopyN(r.out, content, size); err != nil {
		return fmt.Errorf("unpacking %s: %w", name, err)
	}
	r.aside[name] = span{r.size, size}
	r.size += size
	for dir := path.Dir(name); dir != "." && !r.dirs[dir]; dir = path.Dir(dir) {
		r.dirs[dir] = true
	}
	return nil
}

// Len is how many files have not been unpacked.
func (r *Rest) Len() int { return len(r.aside) }

// Has says whether there is a file or directory of this name that has not been unpacked.
func (r *Rest) Has(name string) bool {
	_, file := r.aside[name]
	return file || r.dirs[name]
}

// Unpack makes files of those at name and below, and gives their names. "." means all.
func (r *Rest) Unpack(name string) ([]string, error) {
	var wanted []string
	for file := range r.aside {
		if name == "." || file == name || strings.HasPrefix(file, name+"/") {
			wanted = append(wanted, file)
		}
	}
	slices.SortFunc(wanted, func(a, b string) int { return int(r.aside[a].offset - r.aside[b].offset) })
	for _, file := range wanted {
		at := r.aside[file]
		if err := r.u.mkdir(path.Dir(file)); err != nil {
			return nil, err
		}
		if err := r.u.write(file, at.size, io.NewSectionReader(r.spool, at.offset, at.size)); err != nil {
			return nil, err
		}
		delete(r.aside, file)
	}
	if err := r.mkdirs(name); err != nil {
		return nil, err
	}
	return wanted, r.u.checkLinks()
}

// mkdirs makes the directories at name and below, those without files as well.
func (r *Rest) mkdirs(name string) error {
	for dir := range r.dirs {
		if name != "." && dir != name && !strings.HasPrefix(dir, name+"/") {
			continue
		}
		if err := r.u.mkdir(dir); err != nil {
			return err
		}
		delete(r.dirs, dir)
	}
	return nil
}

// Links are the symbolic links, with what each says.
func (r *Rest) Links() map[string]string { return r.u.links }

// Close gives the space back.
func (r *Rest) Close() error { return r.spool.Close() }
