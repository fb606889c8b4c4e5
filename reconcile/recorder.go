package reconcile

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
)

// A Recorder stores what renders saw, for a Loop in this process or in another.
type Recorder struct {
	inbox *inbox
	store Store
	log   logrus.FieldLogger
	now   func() time.Time
}

// NewRecorder makes one that goes without a Loop. Call Run beside it.
func NewRecorder(store Store, log logrus.FieldLogger) *Recorder {
	return &Recorder{inbox: newInbox(), store: store, log: log, now: time.Now}
}

// Observe takes a hint. It never blocks: a render doesn't wait for a store.
func (r *Recorder) Observe(h Hint) {
	if h.Seen.IsZero() {
		h.Seen = r.now()
	}
	if !r.inbox.put(h) {
		r.log.WithField("application", h.App.Name).Warn("too many observations at once: this one waits for the next render")
	}
}

// Take stores the hints that wait, and gives them. Run does so as they come.
func (r *Recorder) Take(ctx context.Context) []Hint {
	hints := r.inbox.take()
	if len(hints) == 0 {
		return nil
	}
	if err := r.store.Add(ctx, hints...); err != nil {
		r.log.WithError(err).Error("applications are not observed")
	}
	return hints
}

// Run stores until ctx ends, and then what came last.
func (r *Recorder) Run(ctx context.Context) {
	r.keep(ctx, func([]Hint) {})
}

func (r *Recorder) keep(ctx context.Context, taken func([]Hint)) {
	for {
		select {
		case <-ctx.Done():
			r.Take(context.WithoutCancel(ctx))
			return
		case <-r.inbox.filled:
			taken(r.Take(ctx))
		}
	}
}
