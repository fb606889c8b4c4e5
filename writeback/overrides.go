package writeback

import (
	"context"
	"path"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
)

// Overrides gives the .argocd-source files of an application at the branch's tip, by their paths. Those that aren't there are left
// out.
func (w *Writer) Overrides(ctx context.Context, p image.Place, b image.Branch, app image.Application) (map[string][]byte, error) {
	found := map[string][]byte{}
	err := w.on(p, func(repo remote) error {
		paths := []string{path.Join(app.Path, ".argocd-source.yaml"), path.Join(app.Path, edit.PinFileName(app.Name))}
		files, err := repo.Read(ctx, b.Tip, paths)
		if err != nil {
			return err
		}
		for _, name := range paths {
			if files[name].Err != nil {
				return files[name].Err
			}
			if files[name].Exists {
				found[name] = files[name].Bytes
			}
		}
		return nil
	})
	return found, err
}
