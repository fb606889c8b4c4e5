package writeback

import (
	"context"
	"fmt"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/writeback/git"
)

// BaseCommit finds the commit of another repository that a kustomization names by a branch, a tag or a commit; "" is HEAD. Whether
// it may be asked, and with which credential, if any, is the caller's to know.
func (w *Writer) BaseCommit(ctx context.Context, repository, ref string, c config.Credential) (string, error) {
	repo, err := w.base(repository, c)
	if err != nil {
		return "", err
	}
	return repo.Find(ctx, ref)
}

// BaseTree writes the files of a commit into an empty directory, within the limits of an archive.
func (w *Writer) BaseTree(ctx context.Context, repository, sha, dir string, c config.Credential) error {
	repo, err := w.base(repository, c)
	if err != nil {
		return err
	}
	limits := w.o.Settings.Limits
	return repo.Export(ctx, sha, dir, git.Limits{Files: limits.ArchiveFiles, Bytes: int64(limits.ArchiveBytes)})
}

// base opens a repository with a cache of its own, since whole trees are kept in it.
func (w *Writer) base(repository string, c config.Credential) (*git.Repository, error) {
	var credentials git.Credentials
	if c != (config.Credential{}) {
		if c.Kind != config.Secret || c.Field != "" {
			return nil, fmt.Errorf("%s can't be used for Git: bind secret:<namespace>/<name>, with the fields of Argo CD's repository Secrets", c)
		}
		var err error
		if credentials, err = w.credentials(c.String()); err != nil {
			return nil, err
		}
	}
	options := w.o.Git
	options.MaxCacheBytes = int64(w.o.Settings.Limits.FetchCacheBytes)
	return w.connect(repository, credentials, w.o.CacheDir+"-bases", options)
}
