package reconcile

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// An inbox holds the hints that wait to be stored.
type inbox struct {
	mu     sync.Mutex
	hints  []Hint
	filled chan struct{}
}

func newInbox() *inbox { return &inbox{filled: make(chan struct{}, 1)} }

// put says whether there was room.
func (i *inbox) put(h Hint) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.hints) >= maxObservations {
		return false
	}
	i.hints = append(i.hints, h)
	signal(i.filled)
	return true
}

func (i *inbox) take() []Hint {
	i.mu.Lock()
	defer i.mu.Unlock()
	hints := i.hints
	i.hints = nil
	return hints
}

func (i *inbox) len() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.hints)
}

// signal wakes who waits on ch, now or later.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it has been signalled already
	}
}

// An agenda says which applications are looked at before the next check of all, and settles which of two checks of one
// application counts. Both may be under way at a time, since a check of all takes as long as its slowest registry; what the
// early one found is newer.
type agenda struct {
	mu      sync.Mutex
	due     map[identity]time.Time
	changed chan struct{}
	// early counts the early checks of an application that began; busy, those under way.
	early, busy map[identity]int
}

func newAgenda() *agenda {
	return &agenda{due: map[identity]time.Time{}, changed: make(chan struct{}, 1), early: map[identity]int{}, busy: map[identity]int{}}
}

// add has applications looked at after a while, or at the earlier time that they are due at already.
func (a *agenda) add(after time.Duration, ids ...identity) {
	at := time.Now().Add(after)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		if old, waits := a.due[id]; !waits || at.Before(old) {
			a.due[id] = at
		}
	}
	signal(a.changed)
}

// next waits until something is due and takes all that is due then. It gives nothing at the end of ctx.
func (a *agenda) next(ctx context.Context) []identity {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.changed:
		case <-timer.C:
		}
		due, wait := a.take(time.Now())
		if len(due) > 0 {
			return due
		}
		timer.Reset(wait)
	}
}

// idle is how long to wait where nothing is due.
const idle = time.Hour

// take gives what is due, or how long it is until something is.
func (a *agenda) take(now time.Time) (due []identity, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait = idle
	for id, at := range a.due {
		if at.After(now) {
			wait = min(wait, at.Sub(now))
			continue
		}
		due = append(due, id)
		delete(a.due, id)
	}
	if len(due) > 0 {
		signal(a.changed) // the rest is for who comes next
	}
	return due, wait
}

// begin gives the turns of early checks, which count before all that began earlier. done is called at their end.
func (a *agenda) begin(ids []identity) (turns map[identity]int, done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	turns = map[identity]int{}
	for _, id := range ids {
		a.early[id]++
		a.busy[id]++
		turns[id] = a.early[id]
	}
	return turns, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, id := range ids {
			if a.busy[id]--; a.busy[id] == 0 {
				delete(a.busy, id)
			}
		}
	}
}

// turn is that of the check of all. It yields while an early check of the application is under way.
func (a *agenda) turn(id identity) (turn int, yields bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.early[id], a.busy[id] > 0
}

// overtaken says whether an early check of the application began after this turn.
func (a *agenda) overtaken(id identity, turn int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.early[id] != turn
}

// waiting counts the applications that are due, and gives when the first of them was.
func (a *agenda) waiting(now time.Time) (due int, first time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.due {
		if !at.After(now) {
			due, first = due+1, earlier(first, at)
		}
	}
	return due, first
}

// forget drops what is known of an application.
func (a *agenda) forget(id identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy[id] == 0 {
		delete(a.early, id)
	}
}

// An index says which applications use an image.
type index struct {
	mu    sync.Mutex
	users map[string]map[identity]bool
	uses  map[identity][]string
}

func newIndex() *index {
	return &index{users: map[string]map[identity]bool{}, uses: map[identity][]string{}}
}

// note says what an application uses, in the place of what was noted before.
func (x *index) note(id identity, images []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if slices.Equal(x.uses[id], images) {
		return
	}
	for _, img := range x.uses[id] {
		delete(x.users[img], id)
		if len(x.users[img]) == 0 {
			delete(x.users, img)
		}
	}
	delete(x.uses, id)
	if len(images) > 0 {
		x.uses[id] = images
	}
	for _, img := range images {
		if x.users[img] == nil {
			x.users[img] = map[identity]bool{}
		}
		x.users[img][id] = true
	}
}

func (x *index) of(img string) []identity {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.users[img]))
}
