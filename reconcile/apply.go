package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
)

// apply compares with the branch and writes what is newer. When somebody else pushes first, it begins again at the new tip.
func (l *Loop) apply(ctx context.Context, p image.Place, group []*check) {
	fresh := false // at first the branch is taken to be where it was: the push would find out
	for attempt := range l.o.Attempts {
		if attempt > 1 {
			pause(ctx, jitter(time.Duration(attempt)*retryPause)) // longer each time, never in step with another updater
		}
		if again := l.attempt(ctx, p, group, fresh); !again || ctx.Err() != nil {
			return
		}
		fresh = true
	}
	for _, c := range group {
		if c.err == nil {
			c.stop(image.Blocked, fmt.Errorf("the branch moved, or the Git cache was lost, %d times in a row: the next check tries again", l.o.Attempts))
		}
	}
}

// pause waits, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// jitter is any time up to d.
func jitter(d time.Duration) time.Duration {
	return rand.N(d + 1) //nolint:gosec // spreads load; nobody gains by guessing it
}

// rests makes what is to be pushed wait when the branch was pushed to a moment ago, by this updater or another. Otherwise
// nobody else pushes for a while, unless this one takes that back.
func (l *Loop) rests(ctx context.Context, p image.Place, writing []*check) (rests bool, takeBack func()) {
	takeBack = func() {}
	l.mu.Lock()
	last, known := l.pushed[branchKey{p.RepoURL, p.Write}]
	l.mu.Unlock()
	wait := time.Duration(0)
	if known {
		wait = last.Add(l.o.Distance).Sub(l.o.Now())
	}
	if wait <= 0 && l.o.Pauses != nil {
		wait, takeBack = l.o.Pauses.Take(ctx, p.RepoURL+" "+p.Write, l.o.Distance)
	}
	if wait <= 0 {
		return false, takeBack
	}
	next := l.o.Now().Add(wait)
	for _, c := range writing {
		c.stop(image.Waiting, fmt.Errorf("the branch was pushed to a moment ago: the next push comes after %s", next.UTC().Format("15:04:05 MST")))
		l.agenda.add(wait, identify(c.update.App))
	}
	return true, takeBack
}

// attempt is one read, decide, write. It says whether another is due.
func (l *Loop) attempt(ctx context.Context, p image.Place, group []*check, fresh bool) (again bool) {
	updates := make([]image.Update, len(group))
	for i, c := range group {
		updates[i] = c.update
		c.state, c.err = "", nil // what an attempt before found is void
	}
	branch, err := l.read(ctx, p, updates, fresh)
	if err != nil {
		for _, c := range group {
			c.stop(stateOf(err, image.Blocked), err)
		}
		return false
	}
	commits, writing := l.judgeAll(ctx, p, branch, group)
	// "Nothing to write" needs the branch as it is now. Whoever renders its tip has just seen that.
	again = branch.Remembered && slices.ContainsFunc(group, func(c *check) bool { return c.hint.App.Revision != branch.Tip })
	if len(commits) == 0 {
		return again
	}
	takeBack := func() {}
	if !p.Proposes() {
		rests := false
		if rests, takeBack = l.rests(ctx, p, writing); rests {
			return again
		}
	}
	written, err := l.write(ctx, p, branch, commits)
	if !pushed(written) {
		takeBack()
	}
	switch {
	case err != nil:
		for _, c := range group {
			c.unverified = again
		}
		for _, c := range writing {
			c.stop(image.Blocked, err)
		}
	case !written.Moved:
		l.done(p, writing, written)
	}
	return written.Moved
}

// read applies the branch rule.
func (l *Loop) read(ctx context.Context, p image.Place, updates []image.Update, fresh bool) (image.Branch, error) {
	branch, err := l.o.Writer.Read(ctx, p, updates, fresh)
	if err != nil {
		return branch, err
	}
	return branch, followed(p, branch)
}

// write makes an error of a push that the remote refuses.
func (l *Loop) write(ctx context.Context, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error) {
	written, err := l.o.Writer.Write(ctx, p, b, commits)
	if err == nil && written.Refused != "" {
		err = errors.New(written.Refused)
	}
	return written, err
}

// judgeAll gives the commits that are due and the checks they belong to.
func (l *Loop) judgeAll(ctx context.Context, p image.Place, b image.Branch, group []*check) (commits []image.Commit, writing []*check) {
	read := l.o.Now()
	for i, c := range group {
		c.recorded, c.tip = b.Apps[i], b.Tip
		if err := l.recheck(ctx, c, read); err != nil {
			c.stop(image.NoChoice, err)
			continue
		}
		l.claims.make(p, c)
	}
	for _, c := range group {
		if c.err != nil {
			continue
		}
		if commit, ok := l.judge(ctx, p, b, c); ok {
			commits, writing = append(commits, commit), append(writing, c)
		}
	}
	return commits, writing
}

// recheck asks again where the branch proves that a choice rests on an old answer: its pin is a tag that was not in the list, or
// has another digest. Another updater, whose answers are younger, may have pinned it. So answers of different ages never
// make pins alternate.
func (l *Loop) recheck(ctx context.Context, c *check, read time.Time) error {
	r, ok := l.o.Resolver.(Rechecker)
	if !ok || c.recorded.Err != nil {
		return nil
	}
	for i, e := range c.update.Options.Images {
		if !c.doubtful(ctx, r, i) {
			continue
		}
		fresh, err := r.ResolveSince(ctx, c.update.App, e, read)
		if err == nil {
			err = unfit(fresh)
		}
		if err != nil {
			return fmt.Errorf("image %s: %w", cmp.Or(e.Alias, e.Image.Name()), err)
		}
		fresh.Rejected = nil
		c.update.Choices[i] = fresh
	}
	return nil
}

// doubtful says whether the pin of an image speaks against its choice.
func (c *check) doubtful(ctx context.Context, r Rechecker, i int) bool {
	pin, choice := c.recorded.Pins[i], c.update.Choices[i]
	switch {
	case pin == nil:
		return false
	case pin.Tag == choice.Tag:
		return pin.Digest != "" && choice.Digest != "" && pin.Digest != choice.Digest
	}
	listed, err := r.Lists(ctx, c.update.App, c.update.Options.Images[i], pin.Tag)
	return err == nil && !listed
}

// followed is the branch rule: pins are written on the default branch, or on the one that git-branch names.
func followed(p image.Place, b image.Branch) error {
	if !b.Exists || !p.Named && !b.Default {
		return &image.NotFollowedError{Branch: b.Name, NoBranch: !b.Exists}
	}
	return nil
}

// stateOf is NotFollowed for the branch rule's errors, and another state for the rest.
func stateOf(err error, other image.State) image.State {
	var rule *image.NotFollowedError
	if errors.As(err, &rule) {
		return image.NotFollowed
	}
	return other
}

// judge decides on each image of an application.
func (l *Loop) judge(ctx context.Context, p image.Place, b image.Branch, c *check) (image.Commit, bool) {
	c.verdicts = c.verdicts[:0]
	if c.recorded.Err != nil {
		c.stop(image.Refused, c.recorded.Err)
		return image.Commit{}, false
	}
	if other, err := l.claims.clash(p, c); err != nil {
		c.stop(image.Held, err)
		l.unsettle(other)
		return image.Commit{}, false
	}
	past := recall{read: func(ctx context.Context) (image.History, error) { return l.o.Writer.LastWritten(ctx, p, b, c.update) }}
	commit := image.Commit{Update: c.update}
	for i := range c.update.Options.Images {
		v, err := decide(ctx, l.o.Resolver, question{
			update: c.update, index: i, pin: c.recorded.Pins[i],
			last: func(ctx context.Context) (*image.Pin, bool, error) { return past.last(ctx, i) },
		})
		if err != nil {
			c.stop(image.Blocked, err)
			return image.Commit{}, false
		}
		if other := l.claims.foreign(p, c, i, past.history); other != "" {
			v = verdict{state: image.Held, reason: other}
		}
		c.verdicts = append(c.verdicts, v)
		if v.change != nil {
			commit.Changes = append(commit.Changes, *v.change)
		}
	}
	return commit, len(commit.Changes) > 0 && l.permitted(ctx, p, b, c, commit)
}

// A recall reads the history of an application once, when it is first asked for.
type recall struct {
	read    func(context.Context) (image.History, error)
	history *image.History
}

func (r *recall) last(ctx context.Context, i int) (*image.Pin, bool, error) {
	if r.history == nil {
		h, err := r.read(ctx)
		if err != nil {
			return nil, false, err
		}
		r.history = &h
	}
	return r.history.Pins[i], r.history.Complete, nil
}

// pushed says whether something arrived.
func pushed(w image.Written) bool {
	return !w.Moved && w.Refused == "" && slices.ContainsFunc(w.Commits, func(sha string) bool { return sha != "" })
}

// done records a push.
func (l *Loop) done(p image.Place, writing []*check, w image.Written) {
	if pushed(w) {
		l.mu.Lock()
		l.pushed[branchKey{p.RepoURL, p.Write}] = l.o.Now()
		l.mu.Unlock()
	}
	for i, c := range writing {
		if err := w.Errs[i]; err != nil {
			c.stop(image.Refused, err)
			continue
		}
		c.commit = w.Commits[i]
		verb := "Setting"
		if w.Branches != nil {
			c.proposed(w.Branches[i])
			verb = "Proposing"
		}
		for _, v := range c.verdicts {
			if v.change != nil && c.commit != "" {
				l.o.Log.WithFields(logrus.Fields{"application": c.update.App.Name, "image": v.change.To.Image, "commit": c.commit}).
					Infof("%s new image to %s:%s (was %s)", verb, v.change.To.Image, v.change.To.Tag, or(v.change.From.Tag, "unpinned"))
			}
		}
	}
}

// proposed says of each change that it waits on a branch for people to merge it.
func (c *check) proposed(branch string) {
	for i := range c.verdicts {
		if v := &c.verdicts[i]; v.change != nil {
			v.state = image.Proposed
			v.reason = fmt.Sprintf("%s is proposed on the branch %s: merge it to roll it out", v.change.To.Tag, branch)
		}
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
