package render

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// maxFile is the largest file that is read, in bytes: far above any values file, and a tenth of the output's bound.
	maxFile = 10 << 20
	// maxLinks is how many symlinks one path may go through; Linux has the same bound.
	maxLinks = 40
)

var errOutside = errors.New("leads out of the repository")

// A tree reads files below one directory and nothing else: os.Root holds that against links that change under our hands, too.
// Names are relative to the directory and separated by slashes; "." is the directory itself. What was fetched can be mounted;
// nothing leads out of a mount either.
type tree struct {
	root   *os.Root
	charts *Charts // what is known of charts
	reads  *reads
	mounts []mounted
	// fetched is Request.Fetched, and missing what was looked for in it in vain.
	fetched map[string]string
	missing []Need
}

// A mounted tree appears as basesDir/0, basesDir/1 and so on.
type mounted struct {
	from string
	root *os.Root
}

func openTree(dir string, charts *Charts) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the repository: %w", bare(err))
	}
	return &tree{root: root, charts: charts, reads: &reads{}}, nil
}

func (t *tree) close() {
	t.root.Close()
	for _, m := range t.mounts {
		m.root.Close()
	}
}

// mount shows a directory of this machine in the tree, under the name that it returns.
func (t *tree) mount(from string) (string, error) {
	i := slices.IndexFunc(t.mounts, func(m mounted) bool { return m.from == from })
	if i < 0 {
		root, err := os.OpenRoot(from)
		if err != nil {
			return "", fmt.Errorf("opening what was fetched: %w", bare(err))
		}
		i = len(t.mounts)
		t.mounts = append(t.mounts, mounted{from, root})
	}
	return path.Join(basesDir, strconv.Itoa(i)), nil
}

// mountOf is the mount that a name lies in, empty for the repository's own.
func mountOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	if len(parts) < 2 || parts[0] != basesDir {
		return ""
	}
	return parts[0] + "/" + parts[1]
}

// at is where a name really is: in which directory, and under what name there.
func (t *tree) at(name string) (*os.Root, string) {
	if mount := mountOf(name); mount != "" {
		if i, err := strconv.Atoi(path.Base(mount)); err == nil && i >= 0 && i < len(t.mounts) {
			return t.mounts[i].root, path.Join(".", strings.TrimPrefix(name+"/", mount+"/"))
		}
	}
	return t.root, name
}

// join resolves a user's path: below dir, or below the repository's root if it starts with a slash.
func join(dir, name string) (string, error) {
	joined := path.Join(dir, name)
	if path.IsAbs(name) {
		joined = path.Join(".", name)
	}
	joined = strings.TrimPrefix(joined, "/")
	switch {
	case joined == ".." || strings.HasPrefix(joined, "../"):
		return "", errOutside
	case joined == "":
		return ".", nil
	default:
		return joined, nil
	}
}

// real resolves the symlinks of a name, all of which must stay below the root.
func (t *tree) real(name string) (string, error) {
	done, links := ".", 0
	for rest := strings.Split(name, "/"); len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && (done == "." || done == mountOf(done)):
			return "", errOutside
		case part == "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, part)
		target, err := t.link(next)
		if err != nil {
			return "", err
		}
		if target == "" {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", errors.New("too many symlinks")
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return done, nil
}

// link returns what a symlink says, or "" for anything else that exists.
func (t *tree) link(name string) (string, error) {
	target, err := t.target(name)
	saw := target
	if err != nil {
		saw = sawError(err)
	}
	t.reads.add(readLink, name, saw)
	return target, err
}

func (t *tree) target(name string) (string, error) {
	if name == basesDir && len(t.mounts) > 0 {
		return "", nil
	}
	root, name := t.at(name)
	info, err := root.Lstat(name)
	if err != nil {
		return "", bare(err)
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return "", nil
	}
	target, err := root.Readlink(name)
	if err != nil {
		return "", bare(err)
	}
	if path.IsAbs(target) {
		return "", errOutside
	}
	return target, nil
}

func (t *tree) stat(name string) (fs.FileInfo, error) {
	root, below := t.at(name)
	info, err := root.Stat(below)
	t.reads.add(readStat, name, sawStat(info, bare(err)))
	return info, bare(err)
}

func (t *tree) isFile(name string) bool {
	info, err := t.stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (t *tree) isDir(name string) bool {
	info, err := t.stat(name)
	return err == nil && info.IsDir()
}

// read returns a regular file of at most maxFile bytes.
func (t *tree) read(name string) ([]byte, error) {
	data, err := t.content(name)
	saw := ""
	if err != nil {
		saw = sawError(err)
	} else {
		saw = sumOf(data)
	}
	t.reads.add(readFile, name, saw)
	return data, err
}

func (t *tree) content(name string) ([]byte, error) {
	root, name := t.at(name)
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe would wait for a writer
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, bare(err)
	case info.IsDir():
		return nil, errors.New("is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("is no regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("is larger than %d MiB", maxFile>>20)
	}
	data := make([]byte, info.Size())
	_, err = io.ReadFull(f, data)
	return data, bare(err)
}

// list returns the names in a directory, sorted.
func (t *tree) list(name string) ([]string, error) {
	names, err := t.names(name)
	t.reads.add(readList, name, sawNames(names, err))
	return names, err
}

func (t *tree) names(name string) ([]string, error) {
	root, name := t.at(name)
	entries, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return nil, bare(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// bare removes the path from an error of the file system, since it says where the repository lies on this machine.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case strings.Contains(err.Error(), "escapes from parent"): // os has no exported error for it
		return errOutside
	default:
		return err
	}
}
