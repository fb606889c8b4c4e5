package git

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Find asks the server which commit a name stands for, in git fetch's order: a commit's full name, a tag, a branch. "" is HEAD.
func (r *Repository) Find(ctx context.Context, name string) (sha string, err error) {
	if isSHA(name) {
		return name, nil
	}
	short := strings.TrimPrefix(strings.TrimPrefix(name, "refs/heads/"), "refs/tags/")
	if name != "" && name != headName {
		if err := CheckBranch(short); err != nil {
			return "", err
		}
	}
	err = r.do(ctx, func(ctx context.Context, s *session) error {
		sha, err = s.find(ctx, name)
		return err
	})
	return sha, err
}

const headName = "HEAD"

func (s *session) find(ctx context.Context, name string) (string, error) {
	wanted := []string{headName}
	if name != "" && name != headName {
		wanted = []string{"refs/tags/" + name + "^{}", "refs/tags/" + name, "refs/heads/" + name}
		if strings.HasPrefix(name, "refs/") {
			wanted = []string{name + "^{}", name}
		}
	}
	args := append([]string{"ls-remote", "-q", endOfOptions, remoteName}, wanted...)
	out, err := s.git(ctx, treeDir, nil, args...)
	if err != nil {
		return "", err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(out)) {
		sha, ref, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		found[ref] = sha // a pattern also matches the ends of longer names: only the exact ones are looked up
	}
	for _, ref := range wanted {
		if sha := found[ref]; isSHA(sha) {
			return sha, nil
		}
	}
	return "", &Error{Kind: NoBranch, Remote: s.r.address.shown, Detail: fmt.Sprintf("there is no tag and no branch %q", name)}
}

// Limits bound what Export writes.
type Limits struct {
	Files int
	Bytes int64
}

// Export writes the files of a commit into an empty directory, as a checkout does, but for submodules. The cache gets all of the
// commit's files.
func (r *Repository) Export(ctx context.Context, sha, dir string, l Limits) error {
	return r.do(ctx, func(ctx context.Context, s *session) error {
		if !s.unfiltered() { // a cache that holds trees only
			if err := s.noFilter(); err != nil {
				return err
			}
			if err := s.empty(ctx); err != nil {
				return err
			}
		}
		if err := s.ensure(ctx, sha); err != nil {
			return err
		}
		if err := s.within(ctx, sha, l); err != nil {
			return err
		}
		out := *s
		out.env = append(out.env[:len(out.env):len(out.env)],
			"GIT_WORK_TREE="+dir, "GIT_INDEX_FILE="+filepath.Join(s.r.dir, "tmp", "index"))
		if _, err := out.git(ctx, treeDir, nil, "read-tree", sha); err != nil {
			return err
		}
		_, err := out.git(ctx, treeDir, nil, "checkout-index", "-q", "-a", "--prefix="+dir+"/")
		return err
	})
}

// within sums up a commit's files before they are written.
func (s *session) within(ctx context.Context, sha string, l Limits) error {
	out, err := s.git(ctx, treeDir, nil, "ls-tree", "-r", "-l", "-z", sha)
	if err != nil {
		return err
	}
	files, size := 0, int64(0)
	for line := range bytes.SplitSeq(out, []byte{0}) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 {
			continue
		}
		files++
		if n, err := strconv.ParseInt(fields[3], 10, 64); err == nil { // a submodule has none
			size += n
		}
	}
	if files > l.Files || size > l.Bytes {
		return &Error{Kind: TooBig, Remote: s.r.address.shown,
			Detail: fmt.Sprintf("the repository has %d files and %d MB, more than the limit of %d files and %d MB", files, size>>20, l.Files, l.Bytes>>20)}
	}
	return nil
}
