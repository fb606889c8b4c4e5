package edit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// SameImage says whether two images are the same repository, as far as names alone can tell: docker.io may be written or not,
// and so may its library/.
func SameImage(a, b image.Image) bool {
	return a.Host() == b.Host() && a.CanonicalRepository() == b.CanonicalRepository()
}

// A NoneMatchError is a pin file that pins something else than what is configured.
type NoneMatchError struct{ Pinned, Configured []string }

func (e *NoneMatchError) Error() string {
	return fmt.Sprintf("the pin file pins %s, and none of the images of image-list (%s): correct the one or the other",
		enumerate(e.Pinned), enumerate(e.Configured))
}

// An AmbiguousPinError is pins of which it can't be said which image they are for.
type AmbiguousPinError struct {
	Image string
	// Aliases are those of the entries of image-list that have no pin of their own.
	Aliases []string
}

func (e *AmbiguousPinError) Error() string {
	return fmt.Sprintf("it can't be told which pin of %s is for %s: set alias in the pins to the aliases of image-list",
		e.Image, strings.Join(e.Aliases, " and "))
}

// Match finds the pin of each entry, nil where there is none, and the pins that no entry took. A pin fits an entry when they
// name the same repository; same says so (nil: SameImage) and must be an equivalence. Only where several of one repository meet
// the alias decides: a pin is first of all for the entry with its alias. One without an alias is for all entries that are left, so
// that entries may share a pin. A *NoneMatchError comes together with the other results: it is a reason to speak up.
func Match(pins []image.Pin, entries []image.Entry, same func(a, b image.Image) bool) ([]*image.Pin, []image.Pin, error) {
	if same == nil {
		same = SameImage
	}
	m := matcher{pins: pins, entries: entries, same: same, taken: make([]bool, len(pins)), per: make([]*image.Pin, len(entries))}
	for i := range pins {
		img, err := image.ParseImage(pins[i].Image)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", entryPath(pinsKey, i), err)
		}
		m.images = append(m.images, img)
	}
	m.byAlias()
	for i := range entries {
		if m.per[i] == nil {
			if err := m.byImage(i); err != nil {
				return nil, nil, err
			}
		}
	}
	return m.result()
}

type matcher struct {
	pins    []image.Pin
	images  []image.Image
	taken   []bool
	entries []image.Entry
	per     []*image.Pin
	same    func(a, b image.Image) bool
}

func (m *matcher) byAlias() {
	for i, e := range m.entries {
		for j := range m.pins {
			if !m.taken[j] && m.pins[j].Alias == e.Alias && m.same(m.images[j], e.Image) {
				m.per[i], m.taken[j] = &m.pins[j], true
				break
			}
		}
	}
}

// byImage gives an entry the pin of its repository that is left over. Pins taken here are not marked before all entries had
// their turn: a pin without an alias is for all of them.
func (m *matcher) byImage(i int) error {
	var left, unnamed []int
	for j := range m.pins {
		if m.taken[j] || !m.same(m.images[j], m.entries[i].Image) {
			continue
		}
		left = append(left, j)
		if m.pins[j].Alias == "" {
			unnamed = append(unnamed, j)
		}
	}
	var rivals []string
	for k, e := range m.entries {
		if m.same(e.Image, m.entries[i].Image) && (m.per[k] == nil || slices.ContainsFunc(left, m.isPin(k))) {
			rivals = append(rivals, fmt.Sprintf("%q", e.Alias))
		}
	}
	switch {
	case len(left) == 0:
	case len(unnamed) == 1:
		m.per[i] = &m.pins[unnamed[0]]
	case len(left) == 1 && len(rivals) == 1:
		m.per[i] = &m.pins[left[0]]
	default:
		return &AmbiguousPinError{Image: m.entries[i].Image.Name(), Aliases: rivals}
	}
	return nil
}

func (m *matcher) isPin(k int) func(j int) bool {
	return func(j int) bool { return &m.pins[j] == m.per[k] }
}

func (m *matcher) result() ([]*image.Pin, []image.Pin, error) {
	var unmatched []image.Pin
	err := &NoneMatchError{}
	for j := range m.pins {
		if !slices.Contains(m.per, &m.pins[j]) {
			unmatched = append(unmatched, m.pins[j])
			err.Pinned = append(err.Pinned, m.pins[j].Image)
		}
	}
	for _, e := range m.entries {
		err.Configured = append(err.Configured, e.Image.Name())
	}
	if len(m.pins) > 0 && len(unmatched) == len(m.pins) && len(m.entries) > 0 {
		return m.per, unmatched, err
	}
	return m.per, unmatched, nil
}

// Repin is the pin to write when entry i of what was given to Match gets another tag: the one that it has, in the spelling of the
// file, or a new one of its own if it has none or shares it with another entry.
func Repin(entries []image.Entry, matched []*image.Pin, i int, tag, digest string) image.Pin {
	own := image.Pin{Alias: entries[i].Alias, Image: entries[i].Image.Name(), Tag: tag, Digest: digest}
	if matched[i] == nil {
		return own
	}
	for k, p := range matched {
		if k != i && p == matched[i] {
			return own
		}
	}
	p := *matched[i]
	p.Tag, p.Digest = tag, digest
	return p
}
