package writeback

import (
	"context"

	"github.com/tagpin/tagpin/image"
)

// TryPush begins a push to a branch that Read has found, as far as one can without sending anything. See git's TryPush for what
// that proves.
func (w *Writer) TryPush(ctx context.Context, p image.Place, b image.Branch) error {
	return w.on(p, func(repo remote) error { return repo.TryPush(ctx, b.Name, b.Tip) })
}
