package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Tip is where a branch points.
type Tip struct {
	// Branch is the branch that was asked for, or the default branch's name when none was.
	Branch string
	SHA    string
	// Default is the remote's default branch; empty when its HEAD names none.
	Default string
}

// Tip asks the server where a branch points, in two requests. "" and "HEAD" mean the default branch, and "refs/heads/x" is x.
// A branch that does not exist is an Error of kind NoBranch.
func (r *Repository) Tip(ctx context.Context, branch string) (Tip, error) {
	if branch = strings.TrimPrefix(branch, "refs/heads/"); branch == "HEAD" {
		branch = ""
	}
	if branch != "" {
		if err := CheckBranch(branch); err != nil {
			return Tip{}, err
		}
	}
	var tip Tip
	err := r.do(ctx, func(ctx context.Context, s *session) (err error) {
		tip, err = s.tip(ctx, branch)
		return err
	})
	return tip, err
}

func (s *session) tip(ctx context.Context, branch string) (Tip, error) {
	args := []string{"ls-remote", "-q", "--symref", endOfOptions, remoteName, "HEAD"}
	if branch != "" {
		args = append(args, "refs/heads/"+branch)
	}
	out, err := s.git(ctx, treeDir, nil, args...)
	if err != nil {
		return Tip{}, err
	}
	refs := map[string]string{}
	tip := Tip{Branch: branch}
	for line := range strings.Lines(string(out)) {
		value, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if target, symbolic := strings.CutPrefix(value, "ref: refs/heads/"); symbolic && name == "HEAD" {
			tip.Default = target
		} else if !symbolic {
			refs[name] = value // a pattern also matches the ends of longer names: only the exact ones are looked up
		}
	}
	if err := s.nameTip(&tip, refs); err != nil {
		return Tip{}, err
	}
	return tip, nil
}

func (s *session) nameTip(tip *Tip, refs map[string]string) error {
	fail := func(kind Kind, detail string) error {
		return &Error{Kind: kind, Remote: s.r.address.shown, Detail: detail}
	}
	if tip.Branch == "" {
		if tip.Branch = tip.Default; tip.Branch == "" {
			return fail(NoBranch, "the repository is empty, or its HEAD names no branch: name one with git-branch")
		}
		tip.SHA = refs["HEAD"]
	} else {
		tip.SHA = refs["refs/heads/"+tip.Branch]
	}
	if tip.Default != "" && CheckBranch(tip.Default) != nil {
		return fail(Garbage, "the server's HEAD names something that is no branch")
	}
	switch {
	case tip.SHA == "":
		return fail(NoBranch, fmt.Sprintf("there is no branch %q", tip.Branch))
	case len(tip.SHA) == 64:
		return fail(ObjectFormat, "the repository uses SHA-256 object names, which are not supported")
	case !isSHA(tip.SHA):
		return fail(Garbage, "the server's list of branches is not understood")
	}
	return nil
}

var shaPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

func isSHA(text string) bool { return shaPattern.MatchString(text) }

// partial tells git that objects may be missing on purpose. Only what fetches and repacks is told: whatever else runs takes a
// missing object for missing, and never asks the server for it behind our back.
func (s *session) partial() *session {
	told := *s
	settings := append(slices.Clone(s.config),
		[2]string{"remote." + remoteName + ".promisor", "true"}, [2]string{"remote." + remoteName + ".partialCloneFilter", "blob:none"})
	told.env = append(slices.Clone(s.env), configuration(settings)...) // both are set, so that fetch writes neither to disk
	return &told
}

// fetch runs git fetch within Options.MaxBytes and returns what it printed on its standard error.
func (s *session) fetch(ctx context.Context, sub string, in io.Reader, args ...string) (string, error) {
	start, limit := diskUsage(s.r.dir), s.r.options.MaxBytes
	tooBig := func() error {
		if diskUsage(s.r.dir)-start <= limit {
			return nil
		}
		return &Error{Kind: TooBig, Remote: s.r.address.shown, Detail: fmt.Sprintf("the server sent more than %d bytes, which is the limit", limit)}
	}
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for watched.Err() == nil {
			select {
			case <-watched.Done():
			case <-time.After(50 * time.Millisecond):
				if err := tooBig(); err != nil {
					cancel(err)
				}
			}
		}
	}()
	run := s
	if !s.unfiltered() {
		run = s.partial() // its default is a filter
	}
	_, printed, err := run.run(watched, sub, in, append(fetchFlags(), args...)...)
	if err == nil {
		err = tooBig()
	}
	if KindOf(err) == TooBig {
		return "", errors.Join(err, s.empty(ctx))
	}
	return printed, err
}

// fetchFlags keep git from fetching, writing or asking for anything that was not named.
func fetchFlags() []string {
	return []string{"fetch", "-q", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc",
		"--no-write-commit-graph", "--no-show-forced-updates", "--refmap=",
	}
}

// ensure has a commit with all its trees in the cache: no request when it is there, two when not. The trees that the cache has
// already are not sent again.
func (s *session) ensure(ctx context.Context, sha string) error {
	if !isSHA(sha) {
		return &Error{Kind: BadCommit, Remote: s.r.address.shown, Detail: fmt.Sprintf("%q is not the full name of a commit", sha)}
	}
	if there, err := s.has(ctx, treeDir, sha); err != nil || there {
		return err
	}
	if err := s.makeRoom(ctx); err != nil {
		return err
	}
	if err := s.shrink(ctx); err != nil {
		return err
	}
	args := []string{"--depth=1", "--filter=blob:none", endOfOptions, remoteName, sha}
	if s.unfiltered() {
		args = slices.Delete(args, 1, 2)
	}
	printed, err := s.fetch(ctx, treeDir, nil, args...)
	if err != nil {
		return err
	}
	if err := s.noteFilter(printed); err != nil {
		return err
	}
	return s.remember(ctx, treeDir, sha)
}

// has says whether a commit is in the cache.
func (s *session) has(ctx context.Context, sub, sha string) (bool, error) {
	out, err := s.git(ctx, sub, strings.NewReader(sha+"\n"), "cat-file", "--batch-check=%(objecttype)")
	switch answer := strings.TrimSpace(string(out)); {
	case err != nil:
		return false, err
	case answer == "commit":
		return true, nil
	case strings.HasSuffix(answer, " missing"):
		return false, nil
	}
	return false, &Error{Kind: BadCommit, Remote: s.r.address.shown, Detail: sha + " is not a commit"}
}

// noteFilter remembers that the server has no filters: the history must be fetched in another way.
func (s *session) noteFilter(printed string) error {
	if !strings.Contains(printed, "filtering not recognized") {
		return nil
	}
	return s.noFilter()
}

func (s *session) noFilter() error {
	return s.r.wrap(os.WriteFile(filepath.Join(s.r.dir, "unfiltered"), nil, 0o600), "writing the cache")
}

func (s *session) unfiltered() bool {
	_, err := os.Stat(filepath.Join(s.r.dir, "unfiltered"))
	return err == nil
}

// maxKnown is how many tips are kept as what the server is told we have: enough for some branches, small in each request.
const maxKnown = 8

// remember keeps a reference to a commit that the server has and that is here with all that this cache is for.
func (s *session) remember(ctx context.Context, sub, sha string) error {
	if _, err := s.git(ctx, sub, nil, "update-ref", "refs/tagpin/"+sha, sha); err != nil {
		return err
	}
	refs, err := s.git(ctx, sub, nil, "for-each-ref", "--sort=-committerdate", "--format=%(objectname)", "refs/tagpin/")
	if err != nil {
		return err
	}
	var commands bytes.Buffer
	for i, old := range strings.Fields(string(refs)) {
		if i >= maxKnown && old != sha {
			fmt.Fprintf(&commands, "delete refs/tagpin/%s\n", old)
		}
	}
	_, err = s.git(ctx, sub, &commands, "update-ref", "--stdin")
	return err
}

// fetchBlobs gets files by their object names, in two requests for all of them.
func (s *session) fetchBlobs(ctx context.Context, shas []string) error {
	if len(shas) == 0 {
		return nil
	}
	// Negotiation would only say which commits we have; it can't make single files smaller.
	in := strings.NewReader(strings.Join(shas, "\n") + "\n")
	single := *s
	single.config = append(slices.Clone(s.config), [2]string{"fetch.negotiationAlgorithm", "noop"})
	_, err := single.fetch(ctx, treeDir, in, "--filter=blob:none", "--stdin", endOfOptions, remoteName)
	return err
}
