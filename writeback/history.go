package writeback

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
	"github.com/tagpin/tagpin/writeback/git"
)

// remembered history saves reading the same commits again: it is that of one application up to one commit.
type history struct {
	tip string
	image.History
}

// historyKey is an application on a branch.
type historyKey struct {
	place image.Place
	app   string
	// images guards against an image-list that changed since.
	images string
}

func keyOf(p image.Place, u image.Update) historyKey {
	var images strings.Builder
	for _, e := range u.Options.Images {
		images.WriteString(e.Alias + "=" + e.Image.Name() + ",")
	}
	return historyKey{p, u.App.Name, images.String()}
}

// LastWritten finds the pins that tagpin wrote last, by the trailers of the branch's commits: messages alone tell, so it works
// after every cache is lost. What was read before, or written by this process, is not read again.
func (w *Writer) LastWritten(ctx context.Context, p image.Place, b image.Branch, u image.Update) (image.History, error) {
	key := keyOf(p, u)
	known := w.history(key)
	if known.tip == b.Tip {
		return known.History, nil
	}
	repo, err := w.open(p)
	if err != nil {
		return image.History{}, err
	}
	h := image.History{Pins: make([]*image.Pin, len(u.Options.Images))}
	end, err := repo.Log(ctx, b.Tip, git.Bound{Until: known.tip}, func(c git.CommitInfo) bool {
		changes, err := c.Changes()
		if err != nil {
			return true // written by somebody else in our format: it proves nothing
		}
		for _, change := range changes {
			w.take(&h, u, change)
		}
		return slices.Contains(h.Pins, nil)
	})
	if err != nil {
		return image.History{}, err
	}
	h.Complete = end != git.EndBound
	if known.tip != "" && end == git.EndRoot {
		h.Complete = known.Complete
		for i := range h.Pins {
			h.Pins[i] = cmp.Or(h.Pins[i], known.Pins[i])
		}
	}
	w.learn(key, history{b.Tip, h})
	return h, nil
}

func (w *Writer) history(key historyKey) history {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.histories[key]
}

// maxHistories bounds the memory of what was read; a forgotten one is read again.
const maxHistories = 20_000

func (w *Writer) learn(key historyKey, h history) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.histories) >= maxHistories {
		clear(w.histories)
	}
	w.histories[key] = h
}

// wrote notes what a pushed commit says. Images that it leaves alone keep what is known of them up to its parent.
func (w *Writer) wrote(p image.Place, before, tip string, c image.Commit) {
	key := keyOf(p, c.Update)
	known := w.history(key)
	h := image.History{Pins: make([]*image.Pin, len(c.Update.Options.Images)), Complete: known.tip == before && known.Complete}
	if known.tip == before {
		copy(h.Pins, known.Pins)
	}
	for _, change := range c.Changes {
		to := change.To
		h.Pins[change.Index] = &to
	}
	if h.Complete || !slices.Contains(h.Pins, nil) {
		w.learn(key, history{tip, h})
	}
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
