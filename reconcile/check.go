package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tagpin/tagpin/image"
)

func compareApps(a, b image.Application) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.RepoURL, b.RepoURL), cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.TargetRevision, b.TargetRevision), cmp.Compare(a.Project, b.Project))
}

// collect parses what is observed and finds each application's place. Applications come in a stable order. Those of other
// updaters are left to them.
func (l *Loop) collect(ctx context.Context, hints []Hint) []*check {
	mine := func(string) bool { return true }
	if l.o.Peers != nil {
		mine = l.o.Peers.Share(ctx)
	}
	variants := map[identity][]Hint{}
	for _, h := range hints {
		variants[identify(h.App)] = append(variants[identify(h.App)], h)
	}
	groups := slices.Collect(maps.Values(variants))
	checks := make([]*check, len(groups))
	each(parallelChecks, len(groups), func(i int) {
		slices.SortStableFunc(groups[i], func(a, b Hint) int { return a.Seen.Compare(b.Seen) })
		checks[i] = l.open(ctx, groups[i], mine)
	})
	slices.SortFunc(checks, func(a, b *check) int { return compareApps(a.update.App, b.update.App) })
	return slices.DeleteFunc(checks, func(c *check) bool {
		// Live mode: no pin is wanted.
		return c.foreign || c.err == nil && (c.update.Options.WriteBack.Method == "none" || len(c.update.Options.Images) == 0)
	})
}

// each does work for 0 to n-1, some at a time.
func each(limit, n int, work func(i int)) {
	var group errgroup.Group
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error {
			work(i)
			return nil
		})
	}
	_ = group.Wait()
}

// open makes a check of an application's hints, the last seen one last.
func (l *Loop) open(ctx context.Context, group []Hint, mine func(repoURL string) bool) *check {
	c := &check{hint: group[len(group)-1]}
	c.update.App = c.hint.App
	c.read(l.o.Defaults)
	if c.err == nil && c.update.Options.WriteBack.Method != "none" {
		c.locate(l.o.Writer)
	}
	// What this process alone can push is its own, whosever the repository is.
	c.foreign = !c.place.Here && !mine(cmp.Or(c.place.RepoURL, c.update.App.RepoURL))
	if c.err != nil || c.foreign || c.place == (image.Place{}) || len(group) == 1 {
		return c
	}
	// Several sets of parameters: an Application was edited, or an older commit was rendered with the parameters of its time.
	revisions := make([]string, len(group))
	for i, h := range group {
		revisions[i] = h.App.Revision
	}
	newest, err := l.newest(ctx, c, revisions)
	if err != nil {
		c.stop(image.Blocked, err)
		return c
	}
	for _, h := range group { // the last one of the newest revision
		if h.App.Revision == newest {
			c.hint = h
		}
	}
	c.update.App = c.hint.App
	if c.read(l.o.Defaults); c.err == nil {
		c.locate(l.o.Writer)
	}
	return c
}

// newest asks the history which of the revisions comes last, and asks once: the order of commits doesn't change.
func (l *Loop) newest(ctx context.Context, c *check, revisions []string) (string, error) {
	id, asked := identify(c.update.App), strings.Join(revisions, " ")
	l.mu.Lock()
	o := l.orders[id]
	l.mu.Unlock()
	if o.revisions == asked {
		return o.newest, nil
	}
	newest, err := l.o.Writer.Newest(ctx, c.place, revisions)
	if err == nil {
		l.mu.Lock()
		l.orders[id] = order{asked, newest}
		l.mu.Unlock()
	}
	return newest, err
}

// An order is which of an application's revisions comes last.
type order struct{ revisions, newest string }

// read parses the parameters. A render with them fails as well, so the status is not the only place that tells.
func (c *check) read(defaults image.Defaults) {
	options, err := image.ParseOptions(image.Input{Parameters: c.hint.Parameters, Env: c.hint.Env, Defaults: defaults})
	c.update.Options = options
	if err != nil {
		c.stop(image.Refused, err)
	}
}

func (c *check) locate(w Writer) {
	place, err := w.Place(c.update.App, c.update.Options.WriteBack)
	c.place = place
	if err != nil {
		c.stop(stateOf(err, image.Refused), err)
	}
}

// choose asks for the newest tag of every image. An application with one image undecided is not written at all.
func (l *Loop) choose(ctx context.Context, c *check) {
	var err error
	if c.update.Choices, err = choices(ctx, l.o.Resolver, c.update); err != nil {
		c.stop(image.NoChoice, err)
		return
	}
	for i := range c.update.Choices {
		c.update.Choices[i].Rejected = nil // of a thousand applications at once, nobody reads them here
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.settled[identify(c.update.App)]
	c.unchanged = known && b.choices == said(c.update) && b.settings == settings(c.hint) && b.holds(c.hint)
	if b.recheck && l.o.Now().Sub(b.at) >= recheckAfter {
		c.unchanged = false
	}
}

// choices asks for the newest tag of each image. With an error they are those of the images before.
func choices(ctx context.Context, r Resolver, u image.Update) ([]image.Choice, error) {
	var chosen []image.Choice
	for _, e := range u.Options.Images {
		choice, err := r.Resolve(ctx, u.App, e)
		if err == nil {
			err = unfit(choice)
		}
		if err != nil {
			return chosen, fmt.Errorf("image %s: %w", cmp.Or(e.Alias, e.Image.Name()), err)
		}
		chosen = append(chosen, choice)
	}
	return chosen, nil
}

// unfit says why a choice is nothing to pin.
func unfit(choice image.Choice) error {
	switch {
	case choice.Tag == "":
		return errors.New("no tag qualifies")
	case choice.Stale > 0:
		return fmt.Errorf("the registry can't be asked, and its last answer is %s old", choice.Stale.Round(time.Second))
	}
	return nil
}

// said is all choices of an application as one comparable value.
func said(u image.Update) string {
	var b strings.Builder
	for i, choice := range u.Choices {
		fmt.Fprintf(&b, "%s:%s@%s\n", u.Options.Images[i].Image.Name(), choice.Tag, choice.Digest)
	}
	return b.String()
}
