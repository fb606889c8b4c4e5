package edit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// MaxFile bounds the files that are read and edited, in bytes. Values files and kustomizations are far smaller; what is
// larger is no file that people wrote.
const MaxFile = 4 << 20

// Read reads a target below the root of an unpacked repository. Nothing on the way may be a symlink or lie in a submodule: what
// is read there would not be what a commit changes. name is relative to root, as in Result.Path. Errors of a file or directory
// that is missing wrap fs.ErrNotExist.
func Read(root *os.Root, name string) ([]byte, error) {
	info, err := plainPath(root, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file: correct the path", name)
	}
	if info.Size() > MaxFile {
		return nil, tooLarge(name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(data) > MaxFile {
		err = tooLarge(name)
	}
	return data, err
}

func tooLarge(name string) error {
	return fmt.Errorf("%s is larger than %d MiB: split it", name, MaxFile>>20)
}

// plainPath looks at each element of a path without following anything.
func plainPath(root *os.Root, name string) (fs.FileInfo, error) {
	var info fs.FileInfo
	elements := strings.Split(path.Clean(name), "/")
	for i := range elements {
		at := path.Join(elements[:i+1]...)
		var err error
		if info, err = root.Lstat(at); err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, fmt.Errorf("%s is a symlink: name the file that it leads to", at)
		}
		if !info.IsDir() || at == "." {
			continue
		}
		if _, err := root.Lstat(path.Join(at, ".git")); err == nil {
			return nil, fmt.Errorf("%s is a submodule: its own repository is the place to write to", at)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return info, nil
}

// ReadPins reads the pin file of an application in the directory of its source. Without one the result has no Name; then
// Others tells whether some lie there under other names, which several applications of one directory make, and misspelled ones.
func ReadPins(root *os.Root, appPath, app string) (PinFile, error) {
	where, err := Target{}.Resolve(app, appPath, nil)
	if err != nil {
		return PinFile{}, err
	}
	data, err := Read(root, where.Path)
	if err == nil {
		return ParsePins(where.Path, data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return PinFile{}, fmt.Errorf("reading pins: %w", err)
	}
	dir, err := root.Open(path.Dir(where.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return PinFile{}, nil
	}
	if err != nil {
		return PinFile{}, fmt.Errorf("reading pins: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return PinFile{Others: OtherPinFiles(names, app)}, err
}
