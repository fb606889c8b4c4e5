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

// observe takes note of a fresh list. Tags that are gone are forgotten.
func (s *sightings) observe(repo string, tags []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.repos[repo]
	next := &sighting{at: now, tags: make(map[string]time.Time, len(tags))}
	for _, t := range tags {
		first := time.Time{}
		if old != nil {
			first = old.since(t, now)
		}
		next.tags[t] = first
	}
	if old == nil && len(s.repos) >= maxSeen {
		s.dropOldest()
	}
	s.repos[repo] = next
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
