package render

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

var errReadOnly = errors.New("the repository is read-only")

// A kustFS is the repository as kustomize sees it: its root is "/", nothing is above it and nothing can be written. It looks at
// each kustomization before kustomize does, because kustomize's loader runs git and HTTP requests of its own for what is remote,
// past any file system: what was fetched takes its place.
type kustFS struct {
	tree *tree
	r    *Request
	opts buildOptions
	// files replace or add content, by real paths: kustomizations that were edited, and what was fetched.
	files map[string][]byte
	// origins are the URLs of what was fetched, by the names that kustomize sees.
	origins map[string]string
	// checked are the kustomizations that were looked at, by the path they were asked for.
	checked map[string]error
	// refused is the first reason to end the run; kustomize hides it behind "no kustomization found".
	refused error
	// ownSchema is set when a kustomization brought an OpenAPI schema.
	ownSchema bool
}

func newKustFS(t *tree, r *Request, opts buildOptions) *kustFS {
	return &kustFS{tree: t, r: r, opts: opts, files: map[string][]byte{}, origins: map[string]string{}, checked: map[string]error{}}
}

// rel is a path of kustomize's as one of the tree's.
func rel(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if name == "" {
		return "."
	}
	return name
}

// CleanedAbs is where kustomize resolves every path that it is about to read. The kustomization is checked here and not when
// it is read, since a link can give it another name by then.
func (k *kustFS) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	if _, added := k.files[rel(name)]; added {
		if err := k.checkKustomization(rel(name)); err != nil {
			return "", "", err
		}
		return filesys.ConfirmedDir(path.Join("/", path.Dir(rel(name)))), path.Base(rel(name)), nil
	}
	if k.addedDir(rel(name)) {
		return filesys.ConfirmedDir(path.Join("/", rel(name))), "", nil
	}
	real, err := k.tree.real(rel(name))
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", rel(name), err)
	}
	if k.tree.isDir(real) {
		return filesys.ConfirmedDir(path.Join("/", real)), "", nil
	}
	if err := k.checkKustomization(rel(name)); err != nil {
		return "", "", err
	}
	return filesys.ConfirmedDir(path.Join("/", path.Dir(real))), path.Base(real), nil
}

// addedDir says whether a name is that of a directory with files that were added.
func (k *kustFS) addedDir(name string) bool {
	for file := range k.files {
		if strings.HasPrefix(file, name+"/") && strings.Contains(name+"/", filesDir+"/") {
			return true
		}
	}
	return false
}

// checkKustomization looks at a file if its name is a kustomization's.
func (k *kustFS) checkKustomization(name string) error {
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(name)) {
		return k.check(name)
	}
	return nil
}

// ReadFile returns a file's content. Without a load restrictor kustomize reads kustomizations without resolving them first.
func (k *kustFS) ReadFile(name string) ([]byte, error) {
	if err := k.checkKustomization(rel(name)); err != nil {
		return nil, err
	}
	data, err := k.content(rel(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rel(name), err)
	}
	return data, nil
}

func (k *kustFS) content(name string) ([]byte, error) {
	if data, added := k.files[name]; added {
		return data, nil
	}
	real, err := k.tree.real(name)
	if err != nil {
		return nil, err
	}
	if data, edited := k.files[real]; edited {
		return data, nil
	}
	return k.tree.read(real)
}

// Exists reports whether there is something of that name.
func (k *kustFS) Exists(name string) bool {
	_, added := k.files[rel(name)]
	_, err := k.tree.stat(rel(name))
	return added || err == nil || k.addedDir(rel(name))
}

// IsDir reports whether there is a directory of that name.
func (k *kustFS) IsDir(name string) bool { return k.tree.isDir(rel(name)) || k.addedDir(rel(name)) }

// ReadDir lists a directory.
func (k *kustFS) ReadDir(name string) ([]string, error) { return k.tree.list(rel(name)) }

// Glob finds files by a pattern from the root.
func (k *kustFS) Glob(pattern string) ([]string, error) {
	names, err := k.tree.glob(rel(pattern))
	for i := range names {
		names[i] = path.Join("/", names[i])
	}
	return names, err
}

// Walk is not used by a build.
func (k *kustFS) Walk(string, filepath.WalkFunc) error { return errors.ErrUnsupported }

// Open is not used by a build: it reads whole files.
func (k *kustFS) Open(string) (filesys.File, error) { return nil, errors.ErrUnsupported }

// Create refuses.
func (k *kustFS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir refuses.
func (k *kustFS) Mkdir(string) error { return errReadOnly }

// MkdirAll refuses.
func (k *kustFS) MkdirAll(string) error { return errReadOnly }

// RemoveAll refuses.
func (k *kustFS) RemoveAll(string) error { return errReadOnly }

// WriteFile refuses.
func (k *kustFS) WriteFile(string, []byte) error { return errReadOnly }
