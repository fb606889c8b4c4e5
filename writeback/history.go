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
	// images guards against an image-list or a target that changed since.
	images string
}

func keyOf(p image.Place, u image.Update) historyKey {
	var images strings.Builder
	images.WriteString(u.Options.WriteBack.Target + ",")
	for _, e := range u.Options.Images {
		images.WriteString(e.Alias + "=" + e.Image.Name() + "#" + valueOf(e) + "#" + kustomizeName(e) + ",")
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
	var h image.History
	err := w.on(p, func(repo remote) (err error) {
		h, err = w.search(ctx, repo, b.Tip, search{u, w.places(u), known})
		return err
	})
	if err != nil {
		return image.History{}, err
	}
	w.learn(key, history{b.Tip, h})
	return h, nil
}

// A search looks for the pins of one application.
type search struct {
	update image.Update
	// places are what each of its images may be written to, as trailers name it; empty for a file of its own.
	places [][]string
	known  history
}

func (w *Writer) search(ctx context.Context, repo remote, tip string, s search) (image.History, error) {
	n := len(s.update.Options.Images)
	h := image.History{Pins: make([]*image.Pin, n), Others: make([]*image.ForeignPin, n)}
	end, err := repo.Log(ctx, tip, git.Bound{Until: s.known.tip}, func(c git.CommitInfo) bool {
		changes, err := c.Changes()
		if err != nil {
			return true // written by somebody else in our format: it proves nothing
		}
		for _, change := range changes {
			w.take(&h, s, change)
		}
		return slices.Contains(h.Pins, nil)
	})
	if err != nil {
		return image.History{}, err
	}
	h.Complete = end != git.EndBound
	if s.known.tip != "" && end == git.EndRoot {
		h.Complete = s.known.Complete
		for i := range h.Pins {
			if h.Pins[i] == nil {
				h.Others[i] = cmp.Or(h.Others[i], s.known.Others[i])
			}
			h.Pins[i] = cmp.Or(h.Pins[i], s.known.Pins[i])
		}
	}
	return h, nil
}

// places are the names by which trailers call what an application writes to, where others may write as well.
func (w *Writer) places(u image.Update) [][]string {
	places := make([][]string, len(u.Options.Images))
	t, err := targetOf(u)
	if err != nil || t.shared("file") == "" {
		return places
	}
	for i := range places {
		for _, name := range t.candidates() {
			places[i] = append(places[i], name+"#"+scalar(u, i))
		}
	}
	return places
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
	n := len(c.Update.Options.Images)
	h := image.History{Pins: make([]*image.Pin, n), Others: make([]*image.ForeignPin, n), Complete: known.tip == before && known.Complete}
	if known.tip == before {
		copy(h.Pins, known.Pins)
		copy(h.Others, known.Others)
	}
	for _, change := range c.Changes {
		to := change.To
		h.Pins[change.Index], h.Others[change.Index] = &to, nil
	}
	if h.Complete || !slices.Contains(h.Pins, nil) {
		w.learn(key, history{tip, h})
	}
}

// take notes a change where it is the newest of one of the application's images, or of what that is written to.
func (w *Writer) take(h *image.History, s search, c git.Change) {
	written, err := image.ParseImage(c.Image)
	if err != nil {
		return
	}
	pin := image.Pin{Alias: c.Alias, Image: c.Image, Tag: c.Tag, Digest: c.Digest}
	for i, e := range s.update.Options.Images {
		switch own := c.Application == s.update.App.Name; {
		case h.Pins[i] != nil:
		case own && w.same(e.Image, written) && (c.Alias == e.Alias || c.Alias == "" || e.Alias == ""):
			h.Pins[i] = &pin
		case !own && h.Others[i] == nil && slices.Contains(s.places[i], c.Target):
			h.Others[i] = &image.ForeignPin{App: c.Application, Pin: pin}
		}
	}
}

func (w *Writer) same(a, b image.Image) bool {
	if w.o.Same == nil {
		return edit.SameImage(a, b)
	}
	return w.o.Same(a, b)
}

// Newest gives the revision that comes last in the branch's history; those that are not in it come before all others, in
// their order.
func (w *Writer) Newest(ctx context.Context, p image.Place, revisions []string) (string, error) {
	last := revisions[len(revisions)-1]
	if !slices.ContainsFunc(revisions, func(r string) bool { return r != last }) {
		return last, nil
	}
	newest := last
	err := w.on(p, func(repo remote) error {
		tip, err := repo.Tip(ctx, p.Base)
		if git.KindOf(err) == git.NoBranch {
			return nil // the branch rule tells
		} else if err != nil {
			return err
		}
		_, err = repo.Log(ctx, tip.SHA, git.Bound{}, func(c git.CommitInfo) bool {
			if slices.Contains(revisions, c.SHA) {
				newest = c.SHA
				return false
			}
			return true
		})
		return err
	})
	return newest, err
}
