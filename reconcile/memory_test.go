package reconcile

import (
	"testing"
	"time"

	"github.com/tagpin/tagpin/image"
)

// An application that is no more rendered is given up, and one with other parameters is another hint of the same one.
func TestMemory(t *testing.T) {
	m := NewMemory()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m.now = func() time.Time { return now }
	add := func(app, value string) {
		t.Helper()
		h := Hint{App: image.Application{Name: app}, Parameters: []image.Parameter{{Name: "image-list", String: &value}}, Seen: now}
		if err := m.Add(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	count := func(want int) {
		t.Helper()
		hints, err := m.Hints(t.Context())
		if err != nil || len(hints) != want {
			t.Errorf("%d hints (%v), want %d", len(hints), err, want)
		}
	}
	add("a", "x")
	add("a", "x")
	add("b", "x")
	count(2)
	add("b", "y")
	count(3)
	now = now.Add(DefaultExpiry - time.Hour)
	add("a", "x")
	now = now.Add(2 * time.Hour)
	count(1)
	if err := m.Forget(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	count(0)
}
