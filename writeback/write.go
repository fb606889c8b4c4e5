package writeback

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
	"github.com/tagpin/tagpin/writeback/git"
)

// Write puts one commit per application on top of the branch and pushes them at once. An application whose file can't be
// edited exactly is left out, with its reason in Written.Errs; so is one that an earlier commit of the same push has served.
func (w *Writer) Write(ctx context.Context, p image.Place, b image.Branch, commits []image.Commit) (done image.Written, err error) {
	err = w.on(p, func(repo remote) (err error) {
		if p.Proposes() {
			done, err = w.propose(ctx, repo, p, b, commits)
		} else {
			done, err = w.write(ctx, repo, p, b, commits)
		}
		return err
	})
	if git.KindOf(err) == git.Gone {
		// What the commits rest on is no longer in the cache, which was damaged or deleted meanwhile, or not on the server.
		w.remember(p, git.Tip{}, false)
		return image.Written{Moved: true}, nil
	}
	return done, err
}

func (w *Writer) write(ctx context.Context, repo remote, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error) {
	key, basis := repo.branch(b.Name), basisOf(b.Tip, commits)
	if told := w.paused(key, basis); told != "" {
		w.remember(p, git.Tip{}, false) // when the branch moves it may take the push
		return image.Written{Refused: told}, nil
	}
	done := image.Written{Commits: make([]string, len(commits)), Errs: map[int]error{}}
	head := b.Tip
	for i, c := range commits {
		result, err := w.commit(ctx, repo, head, c)
		var refusal *refusedError
		if errors.As(err, &refusal) {
			done.Errs[i] = refusal
			continue
		} else if err != nil {
			return image.Written{}, err
		}
		head, done.Commits[i] = result.SHA, result.SHA
	}
	if head == b.Tip {
		return done, nil
	}
	pushed, err := repo.Push(ctx, b.Name, b.Tip, head)
	if err != nil {
		w.remember(p, git.Tip{}, false) // it may have arrived all the same: look
		return image.Written{}, err
	}
	switch pushed = w.judge(key, basis, pushed); pushed.Status {
	case git.Stale:
		tip, _, _ := w.remembered(p)
		tip.SHA = pushed.Tip // may be empty: then it is asked for
		w.remember(p, tip, true)
		return image.Written{Moved: true}, nil
	case git.Refused:
		w.remember(p, git.Tip{}, false)
		return image.Written{Refused: pushed.Reason}, nil
	}
	for i, c := range commits {
		if done.Commits[i] != "" {
			w.wrote(p, b.Tip, head, c)
		}
	}
	tip, _, _ := w.remembered(p)
	tip.SHA = head
	w.remember(p, tip, false)
	return done, nil
}

// A refusedError is an application's own: its file can't be edited, and others go on.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

func (w *Writer) commit(ctx context.Context, repo remote, parent string, c image.Commit) (git.CommitResult, error) {
	t, err := targetOf(c.Update)
	if err != nil {
		return git.CommitResult{}, &refusedError{err}
	}
	files, err := repo.Read(ctx, parent, t.candidates())
	if err != nil {
		return git.CommitResult{}, err
	}
	name, file, err := t.pick(files)
	if err != nil {
		return git.CommitResult{}, &refusedError{err}
	}
	data, err := w.edited(t, file, c)
	if err != nil {
		return git.CommitResult{}, &refusedError{fmt.Errorf("%s: %w", name, err)}
	}
	message, err := w.message(c, t.shared(name))
	if err != nil {
		return git.CommitResult{}, &refusedError{err}
	}
	return repo.Commit(ctx, parent, git.Commit{
		Files: map[string][]byte{path.Clean(name): data}, Author: w.o.Author, Committer: w.o.Author, When: w.o.Now(), Message: message, Sign: w.o.Sign,
	})
}

// edited is the file with the changes.
func (w *Writer) edited(t target, file git.File, c image.Commit) (data []byte, err error) {
	switch t.Kind {
	case edit.HelmValuesTarget:
		var changes []edit.HelmChange
		for _, change := range c.Changes {
			e := c.Update.Options.Images[change.Index]
			changes = append(changes, edit.HelmChange{Target: e.Helm, Image: e.Image, Pin: named(e, change.To)})
		}
		return edit.SetHelm(file.Bytes, changes, w.o.Same)
	case edit.KustomizationTarget:
		data = file.Bytes
		for _, change := range c.Changes {
			e := c.Update.Options.Images[change.Index]
			pin := named(e, change.To)
			k := edit.KustomizeChange{Name: kustomizeName(e), NewTag: pin.Tag, Digest: pin.Digest}
			if k.Name != e.Image.Name() {
				k.NewName = e.Image.Name()
			}
			if data, err = edit.SetKustomizeImage(data, k); err != nil {
				return nil, err
			}
		}
		return data, nil
	}
	return w.pinned(t, file, c)
}

// pinned is the pin file with the changes.
func (w *Writer) pinned(t target, file git.File, c image.Commit) ([]byte, error) {
	entries := c.Update.Options.Images
	matched := make([]*image.Pin, len(entries))
	if file.Exists {
		pins, err := edit.ParsePins(t.Result.Path, file.Bytes)
		if err != nil {
			return nil, err
		}
		var none *edit.NoneMatchError
		if matched, _, err = edit.Match(pins.Pins, entries, w.o.Same); err != nil && !errors.As(err, &none) {
			return nil, err
		}
	}
	var pins []image.Pin
	for _, change := range c.Changes {
		pins = append(pins, edit.Repin(entries, matched, change.Index, change.To.Tag, change.To.Digest))
	}
	var before []byte
	if file.Exists {
		before = file.Bytes
	}
	return edit.SetPins(before, pins)
}

// named leaves a digest out that manifests shall not name.
func named(e image.Entry, p image.Pin) image.Pin {
	if !e.Policy.PinDigest && e.Policy.Strategy != image.Digest {
		p.Digest = ""
	}
	return p
}

// message is the commit's. shared is the file where several applications may write, or empty.
func (w *Writer) message(c image.Commit, shared string) (string, error) {
	changes := changesOf(c, shared)
	text, err := w.o.Template.Message(c.Update.App.Name, changes)
	if err != nil {
		return "", err
	}
	var signer *git.Person
	if w.o.SignOff {
		signer = &w.o.Author
	}
	return git.Message(text, changes, signer)
}

func changesOf(c image.Commit, shared string) []git.Change {
	changes := make([]git.Change, len(c.Changes))
	for i, change := range c.Changes {
		changes[i] = git.Change{
			Application: change.App.Name, Alias: change.To.Alias, Image: change.To.Image, Tag: change.To.Tag, Digest: change.To.Digest,
			PreviousTag: change.From.Tag, PreviousDigest: change.From.Digest, Strategy: string(change.Strategy), Constraint: change.Constraint,
			Labels: change.Labels,
		}
		if shared == "" {
			continue
		}
		if at := shared + "#" + scalar(c.Update, change.Index); len(at) <= git.MaxTarget {
			changes[i].Target = at
		}
	}
	return changes
}
