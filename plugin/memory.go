package plugin

import (
	"container/list"
	"sync"
	"time"

	"github.com/tagpin/tagpin/image"
)

// DefaultRemember bounds the choices that a Generator remembers: at some hundred bytes each a few megabytes, and more images
// than the largest Argo CD instances render.
const DefaultRemember = 10_000

// A memory keeps the last choice of each image of each application, so that renders of uploaded files and parameter
// announcements need no network. The oldest choices are forgotten first.
type memory struct {
	mu     sync.Mutex
	limit  int
	byKey  map[memoryKey]*list.Element
	oldest *list.List // of remembered, the oldest first
}

// A memoryKey names one image of one application. The source is part of it: an application's name alone proves nothing,
// since Argo CD renders before it authorises.
type memoryKey struct{ app, repoURL, path, image string }

type remembered struct {
	key    memoryKey
	choice image.Choice
	at     time.Time
}

func newMemory(limit int) *memory {
	return &memory{limit: limit, byKey: map[memoryKey]*list.Element{}, oldest: list.New()}
}

func keyOf(app image.Application, img image.Image) memoryKey {
	return memoryKey{app.Name, app.RepoURL, app.Path, img.Name()}
}

// remember keeps a choice without its reasons, which may be long.
func (m *memory) remember(app image.Application, choice image.Choice, at time.Time) {
	choice.Rejected = nil
	key := keyOf(app, choice.Image)
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byKey[key]; ok {
		m.oldest.Remove(e)
	}
	m.byKey[key] = m.oldest.PushBack(remembered{key, choice, at})
	if m.oldest.Len() > m.limit {
		first, _ := m.oldest.Remove(m.oldest.Front()).(remembered)
		delete(m.byKey, first.key)
	}
}

func (m *memory) recall(app image.Application, img image.Image) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byKey[keyOf(app, img)]
	if !ok {
		return remembered{}, false
	}
	r, _ := e.Value.(remembered)
	return r, true
}
