package fetch

import (
	"context"
	"regexp"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
)

var fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// base brings the tree of a Git repository. A full commit is asked for once; what a branch or a tag stands for, every minute.
func (w want) base(ctx context.Context) (string, error) {
	src, err := w.source(config.Base, w.Repository)
	if err != nil {
		return "", err
	}
	commit, err := w.commit(ctx, src)
	if err != nil {
		return "", err
	}
	id := nameOf(w.Repository, commit, src.identity)
	if path, err := w.store.tree(id, nil); err == nil || w.r.Streamed {
		if err != nil {
			err = errUploaded
		}
		return path, err
	}
	// One flight for all that want it. It outlives this render, so that a large repository is there for the next one.
	got, _, err := w.moving.GetOrLoad(ctx, cache.Key("tree", id), func(ctx context.Context) (record, error) {
		_, err := w.store.tree(id, func(dir string) error {
			return w.o.Bases.BaseTree(ctx, w.Repository, commit, dir, src.binding.Credential)
		})
		return record{Commit: commit}, err
	})
	if err != nil {
		return "", err
	}
	return w.store.tree(nameOf(w.Repository, got.Commit, src.identity), nil)
}

func (w want) commit(ctx context.Context, src source) (string, error) {
	if fullCommit.MatchString(w.Ref) {
		return w.Ref, nil
	}
	key := []string{"ref", w.Repository, w.Ref, src.identity}
	if w.r.Streamed {
		r, err := w.keptOnly(key...)
		return r.Commit, err
	}
	got, info, err := w.moving.GetOrLoad(ctx, cache.Key(key...), func(ctx context.Context) (record, error) {
		commit, err := w.o.Bases.BaseCommit(ctx, w.Repository, w.Ref, src.binding.Credential)
		known, ok := w.store.recall(key...)
		switch {
		case err != nil && ok && passing(err):
			w.old(ctx, err)
			return known, nil
		case err != nil:
			if !passing(err) {
				w.store.forget(key...)
			}
			return record{}, err
		}
		r := record{Commit: commit}
		return r, w.store.note(r, key...)
	})
	if info.Stale != nil {
		w.old(ctx, info.Stale)
	}
	return got.Commit, err
}
