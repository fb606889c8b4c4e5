package resolve_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/resolve"
)

// A mover is a shelf whose tags are moved behind its back: Describe remembers, until Digest has told.
type mover struct {
	*shelf
	moved map[string]image.Tag // what they are now
	busy  bool                 // they move each time
	mu    sync.Mutex
}

func (m *mover) Describe(ctx context.Context, tag string, p []image.Platform) (image.Tag, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shelf.Describe(ctx, tag, p)
}

func (m *mover) Digest(_ context.Context, tag string) (string, error) {
	m.digested.Add(1)
	now, moved := m.moved[tag]
	switch {
	case m.busy:
		return digestOf(time.Now().String()), nil
	case moved:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tags[tag] = now
		return now.Digest, nil
	}
	return digestOf(tag), nil
}

func built(name string, day int) image.Tag {
	return image.Tag{Name: name, Digest: digestOf(name), Created: now.AddDate(0, 0, -day)}
}

// newest-build sees where the best tags point now, and asks no more about those that can't win.
func TestMovedTags(t *testing.T) {
	many := func() *shelf {
		return shelve(built("a", 1), built("b", 2), built("c", 3), built("d", 4), built("e", 5), built("f", 6), built("g", 7))
	}
	older := built("a", 100)
	older.Digest = digestOf("another")
	for name, test := range map[string]struct {
		moved map[string]image.Tag
		errs  map[string]error
		busy  bool
		want  string
		err   string
	}{
		"nothing":         {want: "a"},
		"the best":        {moved: map[string]image.Tag{"a": older}, want: "b"},
		"the best gone":   {errs: map[string]error{"a": image.ErrTagGone}, want: "b"},
		"a refusal":       {errs: map[string]error{"b": context.DeadlineExceeded}, err: "no decision without knowing tag b"},
		"all of the time": {busy: true, err: "faster than they can be compared"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mover{shelf: many(), moved: test.moved, busy: test.busy}
			late := &lateErrors{mover: m, errs: test.errs}
			c, err := resolve.Resolve(t.Context(), late, entry(image.Policy{Strategy: image.NewestBuild}), now)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want …%s…", err, test.err)
				}
				return
			}
			if err != nil || c.Tag != test.want {
				t.Errorf("%s, %v, want %s", c.Tag, err, test.want)
			}
			if n := m.digested.Load(); n > 11 {
				t.Errorf("%d questions about 7 tags", n)
			}
		})
	}
}

// lateErrors makes Digest fail where Describe did not.
type lateErrors struct {
	*mover
	errs map[string]error
}

func (l *lateErrors) Digest(ctx context.Context, tag string) (string, error) {
	if err := l.errs[tag]; err != nil {
		return "", err
	}
	return l.mover.Digest(ctx, tag)
}
