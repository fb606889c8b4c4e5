package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tagpin/tagpin/image"
)

// Records are what all replicas see: values by id, each of which ends when it was not put for the expiry. Package redis
// implements them. An error means that they can't be reached now.
type Records interface {
	// Put keeps records; nil removes one. refused counts those for which there is no room.
	Put(ctx context.Context, records map[string][]byte) (refused int, err error)
	// Since gives what changed after a position, nil for what was removed, and the new position; the empty one is the beginning.
	// whole means that these are all there are.
	Since(ctx context.Context, after string) (records map[string][]byte, whole bool, next string, err error)
}

// Bounds of Shared.
const (
	// maxHint bounds one hint in its written form. It holds parameters without values and patches.
	maxHint = 64 << 10
	// MaxRecords is how many hints are shared at most.
	MaxRecords = maxApplications * maxVariants
	// refreshes is how often a hint is written again within the expiry though nothing changed, so that it doesn't end.
	refreshes = 50
)

// Shared is a Store for several replicas. Each has a copy in memory and goes on with it while the records can't be reached; what
// it saw meanwhile is written when they are back, and so is what they have lost.
type Shared struct {
	copy    *Memory
	records Records
	told    func()
	now     func() time.Time

	following sync.Mutex // one Sync at a time
	position  string

	mu      sync.Mutex
	entries map[string]*entry // by record
	waiting map[string]bool   // the records that are still to be written
}

// An entry is what is known of a record: whose it is, and when it was last written, by whomever.
type entry struct {
	id      recordID
	written time.Time
}

// recordID names the hint of one application with one set of parameters.
type recordID struct {
	app      identity
	settings [32]byte
}

func recordOf(h Hint) recordID { return recordID{identify(h.App), settings(h)} }

// String is what it is called among the records.
func (r recordID) String() string {
	app := sha256.Sum256([]byte(strings.Join([]string{r.app.project, r.app.name, r.app.repo, r.app.path, r.app.target}, "\x00")))
	return hex.EncodeToString(app[:12]) + "." + hex.EncodeToString(r.settings[:12])
}

// NewShared makes a store. expiry is that of the records; told is called when something new was written, so that others can be
// told to look.
func NewShared(records Records, expiry time.Duration, told func()) *Shared {
	s := &Shared{copy: NewMemory(), records: records, told: told, now: time.Now, entries: map[string]*entry{}, waiting: map[string]bool{}}
	s.copy.Expiry = expiry
	return s
}

// Add implements Store. That the records can't be reached is no error.
func (s *Shared) Add(ctx context.Context, hints ...Hint) error {
	var problems []error
	s.mu.Lock()
	for _, h := range hints {
		h = shareable(h)
		id := recordOf(h)
		known := s.copy.find(id)
		if err := s.copy.Add(ctx, h); err != nil {
			problems = append(problems, err)
			continue
		}
		e := s.entry(id)
		if known.App.Revision != h.App.Revision || s.now().Sub(e.written) > s.copy.Expiry/refreshes {
			s.waiting[id.String()] = true
		}
	}
	s.mu.Unlock()
	return errors.Join(append(problems, s.write(ctx))...)
}

// entry is that of a record, a new one that was never written where there is none. The caller holds s.mu.
func (s *Shared) entry(id recordID) *entry {
	e := s.entries[id.String()]
	if e == nil {
		e = &entry{id: id}
		s.entries[id.String()] = e
	}
	return e
}

// Hints implements Store.
func (s *Shared) Hints(ctx context.Context) ([]Hint, error) {
	s.Sync(ctx)
	hints, err := s.copy.Hints(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.entries, func(_ string, e *entry) bool { return s.copy.find(e.id).App.Name == "" })
	return hints, err
}

// Some implements Store.
func (s *Shared) Some(ctx context.Context, apps []image.Application) ([]Hint, error) {
	return s.copy.Some(ctx, apps)
}

// Forget implements Store: all replicas forget the application, until it is rendered again.
func (s *Shared) Forget(ctx context.Context, app string) error {
	gone := map[string][]byte{}
	s.mu.Lock()
	for record, e := range s.entries {
		if e.id.app.name == app {
			gone[record] = nil
			delete(s.entries, record)
			delete(s.waiting, record)
		}
	}
	s.mu.Unlock()
	if err := s.copy.Forget(ctx, app); err != nil {
		return err
	}
	_, err := s.records.Put(ctx, gone)
	return err
}

// Sync takes over what other replicas wrote, and gives what was new to this one. What can't be reached now is made up for by
// the next Sync.
func (s *Shared) Sync(ctx context.Context) []Hint {
	s.following.Lock()
	defer s.following.Unlock()
	records, whole, next, err := s.records.Since(ctx, s.position)
	if err != nil {
		return nil
	}
	s.position = next
	if whole {
		s.restore(records)
	}
	var hints []Hint
	for record, data := range records {
		if data == nil {
			s.drop(record)
		} else if h, ok := s.decode(record, data); ok && s.take(ctx, h) {
			hints = append(hints, h)
		}
	}
	_ = s.write(ctx) // that there is no room was told by Add
	return hints
}

// restore has everything written that the records have lost.
func (s *Shared) restore(records map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for record := range s.entries {
		if _, there := records[record]; !there {
			s.waiting[record] = true
		}
	}
}

// take keeps what another replica wrote, and says whether it was new.
func (s *Shared) take(ctx context.Context, h Hint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := recordOf(h)
	known := s.copy.find(id)
	other := known.App.Revision != h.App.Revision
	if known.App.Name != "" && !h.Seen.After(known.Seen) {
		s.entry(id).written = s.now()
		if other && known.Seen.After(h.Seen) { // it restored what it knew
			s.waiting[id.String()] = true
		}
		return false
	}
	if s.copy.Add(ctx, h) != nil {
		return false
	}
	s.entry(id).written = s.now()
	return other
}

// drop forgets what another replica removed, unless this one has seen it since.
func (s *Shared) drop(record string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[record]; e != nil && !s.waiting[record] {
		s.copy.remove(e.id)
		delete(s.entries, record)
	}
}

// Unwritten counts the records that could not be written yet.
func (s *Shared) Unwritten() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// write writes what waits for it. What can't be written now waits for the next time.
func (s *Shared) write(ctx context.Context) error {
	records, problem := s.collect()
	if len(records) == 0 {
		return problem
	}
	refused, err := s.records.Put(ctx, records)
	s.mu.Lock()
	for record := range records {
		if err != nil {
			s.waiting[record] = true
		} else if e := s.entries[record]; e != nil {
			e.written = s.now()
		}
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return problem // an outage is told by who is asked
	case refused > 0:
		return fmt.Errorf("%d sets of parameters are followed already, which is the bound: %d are not", MaxRecords, refused)
	}
	s.told()
	return problem
}

// collect takes what waits in its written form.
func (s *Shared) collect() (records map[string][]byte, problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records = map[string][]byte{}
	for record := range s.waiting {
		e := s.entries[record]
		if e == nil {
			continue
		}
		data, err := json.Marshal(s.copy.find(e.id))
		if err == nil && len(data) > maxHint {
			err = fmt.Errorf("its parameters take more than %d KiB: other replicas don't know it", maxHint>>10)
		}
		if err != nil {
			problem = errors.Join(problem, fmt.Errorf("application %s: %w", e.id.app.name, err))
			continue
		}
		records[record] = data
	}
	clear(s.waiting)
	return records, problem
}

// shareable is a hint without what a neighbour should not read: no values, and no user in the URL of a repository. A URL with a
// password is refused wherever it is used, and stays one that is refused.
func shareable(h Hint) Hint {
	in := image.Input{Parameters: h.Parameters, Env: h.Env}.ForUpdates()
	h.Parameters, h.Env = in.Parameters, in.Env
	if u, err := url.Parse(h.App.RepoURL); err == nil && strings.Contains(h.App.RepoURL, "://") && u.User != nil {
		if _, secret := u.User.Password(); secret || u.Scheme != "ssh" {
			u.User = url.UserPassword("removed", "removed")
			h.App.RepoURL = u.String()
		}
	}
	return h
}

// decode reads what another replica wrote. What is no hint, or stands under another one's id, doesn't count.
func (s *Shared) decode(record string, data []byte) (h Hint, ok bool) {
	if len(data) > maxHint || json.Unmarshal(data, &h) != nil {
		return Hint{}, false
	}
	if now := s.now(); h.Seen.After(now) {
		h.Seen = now // of a machine whose clock is ahead
	}
	h = shareable(h)
	return h, h.App.Name != "" && recordOf(h).String() == record
}
