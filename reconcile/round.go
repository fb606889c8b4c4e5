package reconcile

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tagpin/tagpin/image"
)

// A Summary counts one check.
type Summary struct{ Applications, Considered, Skipped, Updated, Errors int }

// A round checks some applications, or all: resolve, registry by registry; then, as soon as all of a branch are resolved,
// compare with it and push. So what is slow delays its own applications alone.
type round struct {
	l *Loop
	// turn is an application's, and whether another check is to be left alone with it.
	turn func(identity) (turn int, yields bool)
	all  bool
	mu   sync.Mutex
	sum  Summary
}

// A Round is a check that was made, as Options.Told hears of it.
type Round struct {
	Summary
	// All says that it was the check of all applications.
	All  bool
	Took time.Duration
}

// A branchGroup is the applications of a round that share a push.
type branchGroup struct {
	place    image.Place
	checks   []*check
	unsolved atomic.Int32
}

// check gives the checks that it made, those that another round overtook among them.
func (r *round) check(ctx context.Context, hints []Hint) []*check {
	begin := r.l.o.Now()
	checks := r.l.collect(ctx, hints)
	groups := map[image.Place]*branchGroup{}
	for _, c := range checks {
		id := identify(c.update.App)
		r.l.index.note(id, r.l.identities(c))
		if c.err != nil {
			c.turn, c.yields = r.turn(id)
			r.report(ctx, c)
			continue
		}
		if groups[c.place] == nil {
			groups[c.place] = &branchGroup{place: c.place}
		}
		groups[c.place].checks = append(groups[c.place].checks, c)
	}
	r.resolve(ctx, groups)
	if ctx.Err() == nil && r.l.o.Told != nil {
		r.l.o.Told(Round{Summary: r.sum, All: r.all, Took: r.l.o.Now().Sub(begin)})
	}
	if len(checks) > 0 && ctx.Err() == nil {
		r.l.o.Log.Infof("Processing results: applications=%d images_considered=%d images_skipped=%d images_updated=%d errors=%d",
			r.sum.Applications, r.sum.Considered, r.sum.Skipped, r.sum.Updated, r.sum.Errors)
	}
	return checks
}

// identities are those of the repositories of an application's images.
func (l *Loop) identities(c *check) []string {
	var all []string
	for _, e := range c.update.Options.Images {
		all = append(all, l.o.Identity(e.Image))
	}
	return all
}

// resolve asks for the newest tags, and has each group applied when its last application is resolved.
func (r *round) resolve(ctx context.Context, groups map[image.Place]*branchGroup) {
	type task struct {
		check *check
		group *branchGroup
	}
	registries := map[string][]task{}
	for _, g := range groups {
		g.unsolved.Store(int32(len(g.checks))) //nolint:gosec // as many as are observed
		for _, c := range g.checks {
			name := c.update.Options.Images[0].Image.Registry
			registries[name] = append(registries[name], task{c, g})
		}
	}
	var work sync.WaitGroup
	for _, tasks := range registries {
		work.Go(func() {
			each(parallelChecks, len(tasks), func(i int) {
				t := tasks[i]
				r.choose(ctx, t.check)
				if t.group.unsolved.Add(-1) == 0 {
					work.Go(func() { r.apply(ctx, t.group) })
				}
			})
		})
	}
	work.Wait()
}

func (r *round) choose(ctx context.Context, c *check) {
	if c.turn, c.yields = r.turn(identify(c.update.App)); !c.yields {
		r.l.choose(ctx, c)
	}
}

// apply goes on with a group whose applications are resolved.
func (r *round) apply(ctx context.Context, g *branchGroup) {
	if slices.ContainsFunc(g.checks, (*check).due) {
		r.l.places.pass(ctx, g.place, func() {
			r.l.servers.pass(ctx, host(g.place.RepoURL), func() {
				due := slices.DeleteFunc(slices.Clone(g.checks), func(c *check) bool { return !c.due() || r.l.overtaken(c) })
				if len(due) > 0 {
					r.l.apply(ctx, g.place, due)
				}
			})
		})
	}
	for _, c := range g.checks {
		r.report(ctx, c)
	}
}

// due says whether Git is to be asked about the application.
func (c *check) due() bool { return c.err == nil && !c.unchanged && !c.yields }

// overtaken says whether another check has begun, whose findings are newer.
func (l *Loop) overtaken(c *check) bool {
	return c.yields || l.agenda.overtaken(identify(c.update.App), c.turn)
}

// report counts a check and keeps what it found. What was broken off is nobody's state.
func (r *round) report(ctx context.Context, c *check) {
	if ctx.Err() != nil || !r.l.report(c) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.add(c)
}

func (s *Summary) add(c *check) {
	s.Applications++
	images := len(c.update.Options.Images)
	s.Considered += images
	updated := 0
	for _, v := range c.verdicts {
		if v.state == image.Updated && c.err == nil {
			updated++
		}
	}
	s.Updated += updated
	s.Skipped += images - updated
	if c.err != nil && c.state != image.Waiting {
		s.Errors++
	}
}

// host is the server of a repository's URL, whatever its form.
func host(repoURL string) string {
	if _, rest, ok := strings.Cut(repoURL, "://"); ok {
		repoURL = rest
	}
	server, _, _ := strings.Cut(repoURL, "/")
	server, _, _ = strings.Cut(server[strings.LastIndex(server, "@")+1:], ":")
	return server
}

// A check is one application on its way through a round.
type check struct {
	hint     Hint
	update   image.Update
	place    image.Place
	verdicts []verdict
	recorded image.Recorded
	tip      string // of the branch that was read
	commit   string
	state    image.State // why the whole application goes no further; empty while it does
	err      error
	// unchanged means that Git needn't be asked: nothing differs from the last complete check.
	unchanged bool
	// unverified means that the check rests on a branch as it was remembered: the next one must look again.
	unverified bool
	// turn tells which of two checks of the application is newer. yields means that this one makes way for another at once.
	turn   int
	yields bool
	// foreign means that another updater looks after it.
	foreign bool
}

// stop ends the way of an application.
func (c *check) stop(state image.State, err error) { c.state, c.err = state, err }

// basis is what a complete check rests on.
type basis struct {
	settings [32]byte
	revision string // of the hint
	files    string // of the hint, if what the check found is true of them; empty otherwise
	commit   string // that the check made, or found at the tip
	choices  string
	at       time.Time
	// recheck asks for another look after recheckAfter, since no render tells when the branch changes.
	recheck bool
}

// holds says whether the commit of a hint has the pins that the check saw, or made.
func (b basis) holds(h Hint) bool {
	return h.App.Revision == b.revision || h.App.Revision == b.commit || b.files != "" && b.files == h.Files
}
