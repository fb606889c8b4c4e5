package writeback

import (
	"context"
	"slices"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
	"github.com/tagpin/tagpin/writeback/git"
)

// LastWritten finds the pins that tagpin wrote last, by the trailers of the branch's commits: messages alone tell, so it works
// after every cache is lost.
func (w *Writer) LastWritten(ctx context.Context, p image.Place, b image.Branch, u image.Update) (image.History, error) {
	repo, err := w.open(p)
	if err != nil {
		return image.History{}, err
	}
	h := image.History{Pins: make([]*image.Pin, len(u.Options.Images))}
	end, err := repo.Log(ctx, b.Tip, git.Bound{}, func(c git.CommitInfo) bool {
		changes, err := c.Changes()
		if err != nil {
			return true // written by somebody else in our format: it proves nothing
		}
		for _, change := range changes {
			w.take(&h, u, change)
		}
		return slices.Contains(h.Pins, nil)
	})
	h.Complete = end != git.EndBound
	return h, err
}

// take notes a change where it is the newest of one of the application's images.
func (w *Writer) take(h *image.History, u image.Update, c git.Change) {
	if c.Application != u.App.Name {
		return
	}
	written, err := image.ParseImage(c.Image)
	if err != nil {
		return
	}
	same := w.o.Same
	if same == nil {
		same = edit.SameImage
	}
	for i, e := range u.Options.Images {
		if h.Pins[i] == nil && same(e.Image, written) && (c.Alias == e.Alias || c.Alias == "" || e.Alias == "") {
			h.Pins[i] = &image.Pin{Alias: c.Alias, Image: c.Image, Tag: c.Tag, Digest: c.Digest}
		}
	}
}

// Newest gives the revision that comes last in the branch's history; those that are not in it come before all others, in
// their order.
func (w *Writer) Newest(ctx context.Context, p image.Place, revisions []string) (string, error) {
	last := revisions[len(revisions)-1]
	if !slices.ContainsFunc(revisions, func(r string) bool { return r != last }) {
		return last, nil
	}
	repo, err := w.open(p)
	if err != nil {
		return "", err
	}
	tip, err := repo.Tip(ctx, p.Base)
	if git.KindOf(err) == git.NoBranch {
		return last, nil // the branch rule tells
	} else if err != nil {
		return "", err
	}
	newest := last
	_, err = repo.Log(ctx, tip.SHA, git.Bound{}, func(c git.CommitInfo) bool {
		if slices.Contains(revisions, c.SHA) {
			newest = c.SHA
			return false
		}
		return true
	})
	return newest, err
}
