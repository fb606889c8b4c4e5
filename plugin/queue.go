package plugin

import (
	"context"
	"slices"
	"sync"
)

// A queue bounds how many calls work at a time and shares the slots fairly among repositories: those that wait take turns,
// and from three slots on one repository never holds all of them, so that its endless templates stop nobody else.
type queue struct {
	mu      sync.Mutex
	slots   int
	free    int
	share   int // the most slots that one repository may hold
	held    map[string]int
	waiting map[string][]chan struct{} // first come, first served within a repository
	turns   []string                   // the repositories in waiting; the first is next
}

func newQueue(slots int) *queue {
	share := slots
	if slots > 2 {
		share = slots - 1
	}
	return &queue{slots: slots, free: slots, share: share, held: map[string]int{}, waiting: map[string][]chan struct{}{}}
}

// acquire waits for a slot until ctx ends. The slot is held until release is called.
func (q *queue) acquire(ctx context.Context, repository string) (release func(), err error) {
	granted := make(chan struct{})
	q.mu.Lock()
	if len(q.waiting[repository]) == 0 {
		q.turns = append(q.turns, repository)
	}
	q.waiting[repository] = append(q.waiting[repository], granted)
	q.grant()
	q.mu.Unlock()
	release = sync.OnceFunc(func() { q.release(repository) })
	select {
	case <-granted:
		return release, nil
	case <-ctx.Done():
	}
	if q.withdraw(repository, granted) {
		return nil, ctx.Err()
	}
	return release, nil // granted at the same moment
}

// load counts the slots that are held and those who wait.
func (q *queue) load() (held, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range q.waiting {
		waiting += len(line)
	}
	return q.slots - q.free, waiting
}

// grant gives free slots to those whose turn it is. The caller holds mu.
func (q *queue) grant() {
	for q.free > 0 {
		next := slices.IndexFunc(q.turns, func(repository string) bool { return q.held[repository] < q.share })
		if next < 0 {
			return
		}
		repository := q.turns[next]
		first := q.waiting[repository][0]
		q.turns = slices.Delete(q.turns, next, next+1)
		if q.remove(repository, 0) {
			q.turns = append(q.turns, repository)
		}
		q.free--
		q.held[repository]++
		close(first)
	}
}

// remove takes one out of a repository's line and tells whether others are left in it.
func (q *queue) remove(repository string, at int) (left bool) {
	q.waiting[repository] = slices.Delete(q.waiting[repository], at, at+1)
	if len(q.waiting[repository]) == 0 {
		delete(q.waiting, repository)
		return false
	}
	return true
}

func (q *queue) release(repository string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	if q.held[repository]--; q.held[repository] == 0 {
		delete(q.held, repository)
	}
	q.grant()
}

// withdraw leaves the line; false when the slot has been granted already.
func (q *queue) withdraw(repository string, granted chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting[repository], granted)
	if at < 0 {
		return false
	}
	if !q.remove(repository, at) {
		q.turns = slices.DeleteFunc(q.turns, func(r string) bool { return r == repository })
	}
	return true
}
