package writeback

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
	"github.com/tagpin/tagpin/writeback/git"
)

// ReadCheckout is Read for the files of a checkout: what they say of one application. No binding is asked for, since no
// credential is used.
func (w *Writer) ReadCheckout(root *os.Root, u image.Update) (image.Recorded, error) {
	t, err := targetOf(u)
	if err != nil {
		return image.Recorded{}, err
	}
	r := w.recorded(u, t, t.readFrom(root))
	return r, r.Err
}

// EditCheckout is Write for the files of a checkout: the same bytes that a commit would hold go into the file, whose path it
// returns. Nothing is committed.
func (w *Writer) EditCheckout(root *os.Root, c image.Commit) (string, error) {
	t, err := targetOf(c.Update)
	if err != nil {
		return "", err
	}
	name, file, err := t.pick(t.readFrom(root))
	if err != nil {
		return "", err
	}
	data, err := w.edited(t, file, c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return name, root.WriteFile(name, data, 0o644) // a file that is there keeps its mode
}

// readFrom is git.Repository.Read for a checkout.
func (t target) readFrom(root *os.Root) map[string]git.File {
	files := map[string]git.File{}
	for _, name := range t.candidates() {
		data, err := edit.Read(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			files[name] = git.File{}
			continue
		}
		files[name] = git.File{Exists: err == nil, Bytes: data, Err: err}
	}
	return files
}
