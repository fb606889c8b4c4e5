package registry

import (
	"sync"
	"time"
)

// maxSeen bounds the repositories whose tags are remembered. One that falls out starts again: its tags then count as old.
const maxSeen = 2000

// sightings remember when tags appeared in lists that lacked them before.
type sightings struct {
	mu    sync.Mutex
	repos map[string]*sighting
}

type sighting struct {
	at   time.Time            // of the last list
	last *tagList             // that it was made of
	tags map[string]time.Time // zero: there from the beginning
}

// since is when tag was first seen: now, if it is new.
func (s *sighting) since(tag string, now time.Time) time.Time {
	if first, known := s.tags[tag]; known {
		return first
	}
	return now
}

func newSightings() *sightings { return &sightings{repos: map[string]*sighting{}} }

// observe takes note of a fresh list, and makes what is kept of it. Tags that are gone are forgotten.
func (s *sightings) observe(repo string, tags []string, now time.Time) *tagList {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &tagList{tags: tags}
	for t, first := range s.keep(repo, list, now).tags {
		if first.IsZero() {
			continue
		}
		if list.seen == nil {
			list.seen = map[string]time.Time{}
		}
		list.seen[t] = first
	}
	return list
}

// learn takes note of a list that another process made. It does nothing with one that is known already.
func (s *sightings) learn(repo string, list *tagList, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.repos[repo]; old == nil || old.last != list {
		s.keep(repo, list, now)
	}
}

// keep replaces what is known of a repository. A tag that is new here was first seen when the list says, or else now.
func (s *sightings) keep(repo string, list *tagList, now time.Time) *sighting {
	old := s.repos[repo]
	next := &sighting{at: now, last: list, tags: make(map[string]time.Time, len(list.tags))}
	for _, t := range list.tags {
		next.tags[t] = list.seen[t]
		if old != nil && next.tags[t].IsZero() {
			next.tags[t] = old.since(t, now)
		}
	}
	if old == nil && len(s.repos) >= maxSeen {
		s.dropOldest()
	}
	s.repos[repo] = next
	return next
}

func (s *sightings) first(repo, tag string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[repo]; r != nil {
		return r.tags[tag]
	}
	return time.Time{}
}

func (s *sightings) dropOldest() {
	var oldest string
	for name, r := range s.repos {
		if oldest == "" || r.at.Before(s.repos[oldest].at) {
			oldest = name
		}
	}
	delete(s.repos, oldest)
}
