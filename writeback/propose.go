package writeback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/git"
)

// proposalName makes the name of a branch of proposals from the template that an application gives. The operator's prefix
// must begin it as it stands: no application can make tagpin push to a branch that somebody deploys from.
func (w *Writer) proposalName(app, template string, changes ...git.Change) (string, error) {
	prefix := string(w.o.Settings.Proposals.Prefix)
	if prefix == "" {
		prefix = config.DefaultProposalPrefix
	}
	literal, _, _ := strings.Cut(template, "{{")
	if !strings.HasPrefix(literal, prefix) {
		return "", &prefixError{template, prefix}
	}
	parsed, err := git.ParseBranch(template)
	if err != nil {
		return "", err
	}
	if len(changes) == 0 { // it may be seen before anything is chosen that the name can't be right
		changes = []git.Change{{Application: app, Alias: "alias", Image: "image", Tag: "v2", PreviousTag: "v1"}}
	}
	name, err := parsed.Branch(app, changes)
	if err == nil && !strings.HasPrefix(name, prefix) {
		err = &prefixError{name, prefix}
	}
	return name, err
}

// A prefixError says that a branch is none of proposals.
type prefixError struct{ name, prefix string }

func (e *prefixError) Error() string {
	name := e.name
	if most := 100; len(name) > most {
		name = name[:most]
	}
	return fmt.Sprintf("%q is no branch of proposals, whose names begin with %q: write git-branch: <base>:%[2]s<name>, or an operator can choose "+
		"another beginning in tagpin.yaml:\nproposals:\n  prefix: <beginning>", name, e.prefix)
}

// A proposal is what goes to one branch in one push.
type proposal struct {
	branch  string
	indexes []int
	commits []image.Commit
}

// propose writes commits to branches of their own: on top of what is proposed there already, or of the base. What a branch
// proposes already is left alone.
func (w *Writer) propose(ctx context.Context, repo remote, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error) {
	done := image.Written{Commits: make([]string, len(commits)), Branches: make([]string, len(commits)), Errs: map[int]error{}}
	for _, one := range w.sort(p, b, commits, &done) {
		outcome, err := w.push(ctx, repo, b, one)
		if err != nil || outcome.Moved || outcome.Refused != "" {
			return outcome, err
		}
		for k, i := range one.indexes {
			done.Commits[i] = outcome.Commits[k]
			if err := outcome.Errs[k]; err != nil {
				done.Errs[i] = err
			}
		}
	}
	return done, nil
}

// sort puts commits together that go to the same branch, and notes in done which branch that is, or why there is none.
func (w *Writer) sort(p image.Place, b image.Branch, commits []image.Commit, done *image.Written) []*proposal {
	var proposals []*proposal
	for i, c := range commits {
		name, err := w.proposalName(c.Update.App.Name, p.Write, changesOf(c, "")...)
		if err == nil && name == b.Name {
			err = fmt.Errorf("git-branch: %s is the branch that the application is rendered from", name)
		}
		if err != nil {
			done.Errs[i] = err
			continue
		}
		at := slices.IndexFunc(proposals, func(other *proposal) bool { return other.branch == name })
		if at < 0 {
			at, proposals = len(proposals), append(proposals, &proposal{branch: name})
		}
		proposals[at].indexes, proposals[at].commits = append(proposals[at].indexes, i), append(proposals[at].commits, c)
		done.Branches[i] = name
	}
	return proposals
}

// push brings one branch of proposals to what is chosen.
func (w *Writer) push(ctx context.Context, repo remote, b image.Branch, one *proposal) (image.Written, error) {
	done := image.Written{Commits: make([]string, len(one.commits)), Errs: map[int]error{}}
	from, start := "", b.Tip
	tip, err := repo.Tip(ctx, one.branch)
	switch {
	case err == nil:
		from, start = tip.SHA, tip.SHA
	case git.KindOf(err) != git.NoBranch:
		return image.Written{}, err
	}
	key, basis := repo.branch(one.branch), basisOf(start, one.commits)
	if told := w.paused(key, basis); told != "" {
		return image.Written{Refused: told}, nil
	}
	head := start
	for i, c := range one.commits {
		result, err := w.commitProposal(ctx, repo, head, c)
		var refusal *refusedError
		if errors.As(err, &refusal) {
			done.Errs[i] = fmt.Errorf("the branch %s: %w", one.branch, refusal)
			continue
		} else if err != nil {
			return image.Written{}, err
		}
		if result.Changed {
			head, done.Commits[i] = result.SHA, result.SHA
		}
	}
	if head == start {
		return done, nil
	}
	pushed, err := repo.Push(ctx, one.branch, from, head)
	if err != nil {
		return image.Written{}, err
	}
	switch pushed = w.judge(key, basis, pushed); pushed.Status {
	case git.Stale:
		return image.Written{Moved: true}, nil
	case git.Refused:
		return image.Written{Refused: pushed.Reason}, nil
	}
	return done, nil
}

// commitProposal makes the commit that takes a branch of proposals from what it has to what is chosen.
func (w *Writer) commitProposal(ctx context.Context, repo remote, head string, c image.Commit) (git.CommitResult, error) {
	t, err := targetOf(c.Update)
	if err != nil {
		return git.CommitResult{}, &refusedError{err}
	}
	files, err := repo.Read(ctx, head, t.candidates())
	if err != nil {
		return git.CommitResult{}, err
	}
	there := w.recorded(c.Update, t, files)
	if there.Err != nil {
		return git.CommitResult{}, &refusedError{there.Err}
	}
	c.Changes = slices.Clone(c.Changes)
	for i := range c.Changes {
		change := &c.Changes[i]
		change.From = image.Pin{}
		if pin := there.Pins[change.Index]; pin != nil {
			if pin.Hold {
				return git.CommitResult{}, &refusedError{fmt.Errorf("its pin of %s says hold: true", change.To.Image)}
			}
			change.From = *pin
		}
	}
	return w.commit(ctx, repo, head, c)
}
