package render

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	// maxFile is the largest file that is read, in bytes: far above any values file, and a tenth of the output's bound.
	maxFile = 10 << 20
	// maxLinks is how many symlinks one path may go through; Linux has the same bound.
	maxLinks = 40
)

var errOutside = errors.New("leads out of the repository")

// A tree reads files below one directory and nothing else: os.Root holds that against links that change under our hands, too.
// Names are relative to the directory and separated by slashes; "." is the directory itself.
type tree struct{ root *os.Root }

func openTree(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the repository: %w", bare(err))
	}
	return &tree{root: root}, nil
}

func (t *tree) close() { t.root.Close() }

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
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			if done == "." {
				return "", errOutside
			}
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
	info, err := t.root.Lstat(name)
	if err != nil {
		return "", bare(err)
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return "", nil
	}
	target, err := t.root.Readlink(name)
	if err != nil {
		return "", bare(err)
	}
	if path.IsAbs(target) {
		return "", errOutside
	}
	return target, nil
}

func (t *tree) stat(name string) (fs.FileInfo, error) {
	info, err := t.root.Stat(name)
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
	info, err := t.stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file")
	}
	f, err := t.root.Open(name)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, bare(err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("is larger than %d MiB", maxFile>>20)
	}
	return data, nil
}

// list returns the names in a directory, sorted.
func (t *tree) list(name string) ([]string, error) {
	entries, err := fs.ReadDir(t.root.FS(), name)
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
