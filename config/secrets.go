package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxSecret is Kubernetes' own bound for a Secret.
const maxSecret = 1 << 20

// Secrets reads mounted Secrets: <Dir>/<namespace>/<name>/<field>, as the kubelet lays them out.
type Secrets struct{ Dir string }

// OpenSecrets names the directory of the mounted Secrets. It need not exist before the first Read.
func OpenSecrets(dir string) Secrets { return Secrets{Dir: dir} }

// Read returns the field of a Secret, without one trailing line break. It reads the file each time, so that a rotated Secret
// counts at once. Names are checked, and no link leads out of the directory. An error names the reference and the file
// that is missing, and nothing of the content; a missing one wraps fs.ErrNotExist.
func (s Secrets) Read(namespace, name, field string) (string, error) {
	ref := fmt.Sprintf("secret:%s/%s#%s", clip(namespace), clip(name), clip(field))
	if field == "" {
		return "", fmt.Errorf("%s: name the field after #", ref)
	}
	if err := checkSecretName(namespace, name, field); err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	file := filepath.Join(namespace, name, field)
	where := filepath.Join(s.Dir, file)
	if s.Dir == "" {
		return "", fmt.Errorf("reading %s: no directory of mounted Secrets is set: start tagpin with --secrets-dir", ref)
	}
	text, err := s.read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.mounted(namespace, name):
		return "", &missingError{fmt.Sprintf("reading %s: the Secret %s of namespace %s is mounted and has no field %s: "+
			"add it, or correct the field's name", ref, name, namespace, field), true}
	case errors.Is(err, fs.ErrNotExist):
		return "", &missingError{fmt.Sprintf("reading %s: %s is missing: mount the Secret %s of namespace %s at %s",
			ref, where, name, namespace, filepath.Dir(where)), false}
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("reading %s: no permission to read %s: make it readable for tagpin's user: %w",
			ref, where, fs.ErrPermission)
	case err != nil:
		return "", fmt.Errorf("reading %s from %s: %w", ref, where, err)
	}
	return text, nil
}

// missingError is fs.ErrNotExist in other words.
type missingError struct {
	text  string
	field bool
}

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return fs.ErrNotExist }

// FieldMissing says whether Read found the Secret, and not the field.
func FieldMissing(err error) bool {
	var missing *missingError
	return errors.As(err, &missing) && missing.field
}

// mounted says whether a Secret has any field. An optional Secret that doesn't exist is an empty directory.
func (s Secrets) mounted(namespace, name string) bool {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return false
	}
	defer root.Close()
	files, err := fs.ReadDir(root.FS(), namespace+"/"+name)
	return err == nil && slices.ContainsFunc(files, func(f fs.DirEntry) bool {
		return !strings.HasPrefix(f.Name(), "..") // the kubelet's own
	})
}

func (s Secrets) read(file string) (string, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	if info, err := root.Stat(file); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", errors.New("it is not a file")
	}
	f, err := root.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("it is larger than %d bytes", maxSecret)
	}
	text, hadNewline := strings.CutSuffix(string(data), "\n")
	if hadNewline {
		text = strings.TrimSuffix(text, "\r")
	}
	return text, nil
}
