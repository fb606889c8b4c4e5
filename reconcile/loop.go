package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
)

// The defaults of Options.
const (
	// DefaultInterval is how often every application is checked. Lists of tags are cached for as long.
	DefaultInterval = time.Minute
	// DefaultDistance keeps a busy branch from making Argo CD render all the time: each push changes the revision of every
	// application in the repository.
	DefaultDistance = time.Minute
	// DefaultAttempts is how often a push is tried again when somebody else was first, within one check.
	DefaultAttempts = 8
	// parallelChecks bounds how many applications' images are resolved at a time; the registry package bounds requests.
	parallelChecks = 16
	// recheckAfter is when the branch of an application is looked at although no choice changed, where no render tells that it
	// moved: for an Application that is known by its manifest alone.
	recheckAfter = 10 * time.Minute
	// retryPause grows with each attempt to push.
	retryPause = 200 * time.Millisecond
	// gather lets the renders that follow one push come together, before a check that one of them asked for.
	gather = 500 * time.Millisecond
	// parallelPlaces is how many branches are read and pushed to at a time: a slow Git server delays no other.
	parallelPlaces = 8
	// observations wait here while a check runs. More than that are dropped: the next render tells again.
	observationQueue = 1024
)

// Options make a Loop.
type Options struct {
	Store    Store
	Resolver Resolver
	Writer   Writer
	// Defaults are the operator's, for parsing parameters.
	Defaults image.Defaults
	// Interval, Distance and Attempts: zero means the default.
	Interval, Distance time.Duration
	Attempts           int
	Log                logrus.FieldLogger
	Now                func() time.Time
}

// A Loop checks the observed applications.
type Loop struct {
	o      Options
	hints  chan Hint
	wake   chan struct{}
	mu     sync.Mutex
	status map[identity]Status
	// settled is what the last complete check of an application rested on: with the same again, Git needn't be asked.
	settled map[identity]basis
	pushed  map[branchKey]time.Time
	claims  *claims
	// orders are used by Check alone.
	orders map[identity]order
}

// branchKey is what the smallest distance between pushes is kept for.
type branchKey struct{ repo, branch string }

// New makes a Loop; nothing runs before Run.
func New(o Options) *Loop {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Distance == 0 {
		o.Distance = DefaultDistance
	}
	if o.Attempts == 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Loop{
		o: o, hints: make(chan Hint, observationQueue), wake: make(chan struct{}, 1),
		status: map[identity]Status{}, settled: map[identity]basis{}, pushed: map[branchKey]time.Time{}, claims: newClaims(), orders: map[identity]order{},
	}
}

// Observe takes a hint. It never blocks: a render doesn't wait for the loop.
func (l *Loop) Observe(h Hint) {
	if h.Seen.IsZero() {
		h.Seen = l.o.Now()
	}
	select {
	case l.hints <- h:
	default:
		l.o.Log.WithField("application", h.App.Name).Warn("too many observations at once: this one waits for the next render")
	}
}

// Wake makes Run check at once.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // a check is due already
	}
}

// Run checks all applications each interval until ctx ends. The first check comes with the first hint.
func (l *Loop) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-l.hints:
			l.add(ctx, h)
			if l.isNew(h) {
				l.Wake()
			}
			continue
		case <-l.wake:
			pause(ctx, gather)
		case <-timer.C:
		}
		l.Take(ctx)
		l.Check(ctx)
		// Up to a tenth more, so that several updaters don't check in step.
		timer.Reset(l.o.Interval + jitter(l.o.Interval/10))
	}
}

// isNew tells whether an application has never been checked, or runs at a commit that no check knows.
func (l *Loop) isNew(h Hint) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.settled[identify(h.App)]
	return !known || !slices.Contains([]string{b.revision, b.commit}, h.App.Revision)
}

// Take stores the hints that wait. Run does so before each check.
func (l *Loop) Take(ctx context.Context) {
	for {
		select {
		case h := <-l.hints:
			l.add(ctx, h)
		default:
			return
		}
	}
}

func (l *Loop) add(ctx context.Context, h Hint) {
	if err := l.o.Store.Add(ctx, h); err != nil {
		l.o.Log.WithField("application", h.App.Name).WithError(err).Error("this application is not observed")
	}
}

// Status gives all applications, by name.
func (l *Loop) Status() []Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Status, 0, len(l.status))
	for _, s := range l.status {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Status) int { return compareApps(a.App, b.App) })
	return all
}

// A Summary counts one check.
type Summary struct{ Applications, Considered, Skipped, Updated, Errors int }

// Check looks at every observed application once.
func (l *Loop) Check(ctx context.Context) Summary {
	var sum Summary
	hints, err := l.o.Store.Hints(ctx)
	if err != nil {
		l.o.Log.WithError(err).Error("the observed applications can't be read")
		return Summary{Errors: 1}
	}
	checks := l.collect(ctx, hints)
	l.resolve(ctx, checks)
	l.applyAll(ctx, groupByPlace(checks))
	if ctx.Err() != nil {
		return sum // what was broken off is nobody's state
	}
	for _, c := range checks {
		sum.add(c)
		l.report(c)
	}
	l.dropUnobserved(checks)
	if len(checks) > 0 {
		l.o.Log.Infof("Processing results: applications=%d images_considered=%d images_skipped=%d images_updated=%d errors=%d",
			sum.Applications, sum.Considered, sum.Skipped, sum.Updated, sum.Errors)
	}
	return sum
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
	if c.err != nil && !c.waiting {
		s.Errors++
	}
}

// A check is one application on its way through a Check.
type check struct {
	hint     Hint
	update   image.Update
	place    image.Place
	verdicts []verdict
	recorded image.Recorded
	commit   string
	state    image.State // why the whole application goes no further; empty while it does
	err      error
	// unchanged means that Git needn't be asked: nothing differs from the last complete check.
	unchanged bool
	// waiting means that nothing is wrong: the push comes later.
	waiting bool
	// unverified means that the check rests on a branch as it was remembered: the next one must look again.
	unverified bool
}

// stop ends the way of an application.
func (c *check) stop(state image.State, err error) { c.state, c.err = state, err }

// basis is what a complete check rests on.
type basis struct {
	settings [32]byte
	revision string // of the hint
	commit   string // that the check made, or found at the tip
	choices  string
	at       time.Time
	// recheck asks for another look after recheckAfter, since no render tells when the branch changes.
	recheck bool
}
