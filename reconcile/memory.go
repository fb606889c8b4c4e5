package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tagpin/tagpin/image"
)

// Bounds of the memory store: a hint is a few kilobytes.
const (
	maxApplications = 20_000
	// maxVariants is how many sets of parameters are kept of one application until a check settles which one counts.
	maxVariants = 4
)

// DefaultExpiry is how long an application is followed after its last render. Argo CD renders each one at least once a day,
// when its manifest cache ends; one that it doesn't know any more is given up.
const DefaultExpiry = 7 * 24 * time.Hour

// Memory is a Store that ends with the process.
type Memory struct {
	// Expiry is how long an application is followed after it was last seen. Set it before use.
	Expiry time.Duration

	mu    sync.Mutex
	hints map[identity][]Hint // the last seen one last
	now   func() time.Time
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{Expiry: DefaultExpiry, hints: map[identity][]Hint{}, now: time.Now}
}

// identity is what makes two hints speak of the same application.
type identity struct{ project, name, repo, path, target string }

func identify(a image.Application) identity {
	return identity{a.Project, a.Name, a.RepoURL, a.Path, a.TargetRevision}
}

// application is one of this identity, at no revision.
func (id identity) application() image.Application {
	return image.Application{Project: id.project, Name: id.name, RepoURL: id.repo, Path: id.path, TargetRevision: id.target}
}

// settings are a hint's parameters as a comparable value.
func settings(h Hint) [32]byte {
	data, err := json.Marshal([]any{h.Parameters, h.Env}) // maps are marshalled in the order of their keys
	if err != nil {
		panic(fmt.Sprintf("strings always marshal: %v", err))
	}
	return sha256.Sum256(data)
}

// Add implements Store.
func (m *Memory) Add(_ context.Context, hints ...Hint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var problems []error
	for _, h := range hints {
		problems = append(problems, m.add(h))
	}
	return errors.Join(problems...)
}

func (m *Memory) add(h Hint) error {
	id := identify(h.App)
	known, old := m.hints[id]
	if !old && len(m.hints) >= maxApplications {
		return fmt.Errorf("%d applications are observed, which is the bound of a store in memory: %s is not followed", maxApplications, h.App.Name)
	}
	same := settings(h)
	known = slices.DeleteFunc(slices.Clone(known), func(k Hint) bool { return settings(k) == same })
	known = append(known, h)
	m.hints[id] = known[max(0, len(known)-maxVariants):]
	return nil
}

// find gives the hint of a record; without a name there is none.
func (m *Memory) find(id recordID) Hint {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.hints[id.app] {
		if settings(h) == id.settings {
			return h
		}
	}
	return Hint{}
}

func (m *Memory) remove(id recordID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(m.hints[id.app]), func(h Hint) bool { return settings(h) == id.settings })
	if m.hints[id.app] = rest; len(rest) == 0 {
		delete(m.hints, id.app)
	}
}

// Hints implements Store.
func (m *Memory) Hints(context.Context) ([]Hint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldest := m.now().Add(-m.Expiry)
	maps.DeleteFunc(m.hints, func(_ identity, known []Hint) bool { return known[len(known)-1].Seen.Before(oldest) })
	return slices.Concat(slices.Collect(maps.Values(m.hints))...), nil
}

// Some implements Store.
func (m *Memory) Some(_ context.Context, apps []image.Application) ([]Hint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var hints []Hint
	for _, a := range apps {
		hints = append(hints, m.hints[identify(a)]...)
	}
	return hints, nil
}

// Forget implements Store.
func (m *Memory) Forget(_ context.Context, app string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.hints, func(id identity, _ []Hint) bool { return id.name == app })
	return nil
}
