package reconcile

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

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
	// parallelChecks is how many applications of one registry are resolved at a time: a slow registry delays no other.
	parallelChecks = 16
	// recheckAfter is when the branch of an application is looked at although no choice changed, where no render tells that it
	// moved: for an Application that is known by its manifest alone.
	recheckAfter = 10 * time.Minute
	// retryPause grows with each attempt to push.
	retryPause = 200 * time.Millisecond
	// gather lets the renders that follow one push come together, before a check that one of them asked for.
	gather = 500 * time.Millisecond
	// parallelPlaces is how many branches of one Git server are read and pushed to at a time: a slow server delays no other.
	parallelPlaces = 8
	// parallelHurries is how many early checks run at a time, beside the one of all applications.
	parallelHurries = 4
	// maxObservations may wait to be stored. More than that are dropped: the next render tells again.
	maxObservations = maxApplications
)

// Options make a Loop.
type Options struct {
	Store    Store
	Resolver Resolver
	Writer   Writer
	// Identity is equal for all names of one image repository; nil takes the names as they are.
	Identity func(image.Image) string
	// Peers and Pauses are for several updaters; nil where this is the only one.
	Peers  Peers
	Pauses Pauses
	// Verifier is asked before something is written, with what Overrides reads; nil: nobody is.
	Verifier  Verifier
	Overrides Overrider
	// ExistingOnly leaves first pins to people.
	ExistingOnly bool
	// Defaults are the operator's, for parsing parameters.
	Defaults image.Defaults
	// Interval, Distance and Attempts: zero means the default.
	Interval, Distance time.Duration
	Attempts           int
	// Told, if set, hears of each check that was made. It must not block.
	Told func(Round)
	Log  logrus.FieldLogger
	Now  func() time.Time
}

// A Loop checks the observed applications.
type Loop struct {
	*Recorder
	o       Options
	index   *index
	agenda  *agenda
	claims  *claims
	servers *turnstile[string]
	places  *turnstile[image.Place]

	mu     sync.Mutex
	status map[identity]Status
	// settled is what the last complete check of an application rested on: with the same again, Git needn't be asked.
	settled map[identity]basis
	pushed  map[branchKey]time.Time
	orders  map[identity]order
	// began is when Run did, until all applications have been checked once.
	began time.Time
	// unread is Backlog's.
	unread error
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
	if o.Identity == nil {
		o.Identity = image.Image.Name
	}
	return &Loop{
		o: o, Recorder: &Recorder{inbox: newInbox(), store: o.Store, log: o.Log, now: o.Now}, index: newIndex(), agenda: newAgenda(), claims: newClaims(),
		servers: newTurnstile[string](parallelPlaces), places: newTurnstile[image.Place](1),
		status: map[identity]Status{}, settled: map[identity]basis{}, pushed: map[branchKey]time.Time{}, orders: map[identity]order{},
	}
}

// Pushed makes Run look at once at the applications that use an image, and at no other.
func (l *Loop) Pushed(img image.Image) {
	l.agenda.add(gather, l.index.of(l.o.Identity(img))...)
}

// Run checks all applications each interval until ctx ends. Beside that it checks those to which something happened as soon as
// it did: the first render, a render of another commit, an image's push, the end of the time between two pushes to a branch.
func (l *Loop) Run(ctx context.Context) {
	l.mu.Lock()
	l.began = l.o.Now()
	l.mu.Unlock()
	var parts sync.WaitGroup
	parts.Go(func() { l.keep(ctx, l.note) })
	parts.Go(func() { l.hurry(ctx) })
	for ctx.Err() == nil {
		l.Take(ctx)
		l.Check(ctx)
		// Up to a tenth more, so that several updaters don't check in step.
		pause(ctx, l.o.Interval+jitter(l.o.Interval/10))
	}
	parts.Wait()
}

// Follow takes over what other replicas observed, and has the new looked at.
func (l *Loop) Follow(ctx context.Context) {
	if s, ok := l.o.Store.(*Shared); ok {
		l.note(s.Sync(ctx))
	}
}

// hurry checks what can't wait for the check of all.
func (l *Loop) hurry(ctx context.Context) {
	var checks errgroup.Group
	checks.SetLimit(parallelHurries)
	for {
		due := l.agenda.next(ctx)
		if ctx.Err() != nil {
			break
		}
		checks.Go(func() error {
			l.checkSome(ctx, due)
			return nil
		})
	}
	_ = checks.Wait()
}

// note has what is new looked at.
func (l *Loop) note(hints []Hint) {
	for _, h := range hints {
		if l.isNew(h) {
			l.agenda.add(gather, identify(h.App))
		}
	}
}

// isNew tells whether an application has never been checked, or runs at a commit that no check knows and that may have other pins.
func (l *Loop) isNew(h Hint) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.settled[identify(h.App)]
	return !known || !b.holds(h)
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

// A Backlog is what a loop has still to do.
type Backlog struct {
	// Observations wait to be stored. Due are the applications that wait for a check before that of all.
	Observations, Due int
	// Oldest is when the application was checked for which that is longest ago, or began to wait for its first check. Zero: there
	// is none.
	Oldest time.Time
	// Unread is why the store could not say which applications there are when it was asked last.
	Unread error
}

// Backlog says what is still to be done.
func (l *Loop) Backlog() Backlog {
	b := Backlog{Observations: l.inbox.len()}
	var first time.Time
	b.Due, first = l.agenda.waiting(time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	b.Oldest, b.Unread = earlier(first, l.began), l.unread
	for _, s := range l.status {
		b.Oldest = earlier(b.Oldest, s.Checked)
	}
	return b
}

// earlier is the first of two times; a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Check looks at every observed application once.
func (l *Loop) Check(ctx context.Context) Summary {
	before := l.known()
	hints, err := l.o.Store.Hints(ctx)
	l.mu.Lock()
	l.unread = err
	l.mu.Unlock()
	if err != nil {
		l.o.Log.WithError(err).Error("the observed applications can't be read")
		return Summary{Errors: 1}
	}
	r := &round{l: l, turn: l.agenda.turn, all: true}
	checks := r.check(ctx, hints)
	if ctx.Err() == nil {
		l.dropUnobserved(before, checks)
		l.mu.Lock()
		l.began = time.Time{}
		l.mu.Unlock()
	}
	return r.sum
}

// checkSome looks at some applications.
func (l *Loop) checkSome(ctx context.Context, ids []identity) {
	turns, done := l.agenda.begin(ids)
	defer done()
	apps := make([]image.Application, len(ids))
	for i, id := range ids {
		apps[i] = id.application()
	}
	hints, err := l.o.Store.Some(ctx, apps)
	if err != nil {
		l.o.Log.WithError(err).Error("the observed applications can't be read: the next check of all does")
		return
	}
	r := &round{l: l, turn: func(id identity) (int, bool) { return turns[id], false }}
	r.check(ctx, hints)
}
