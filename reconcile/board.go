package reconcile

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	// BoardExpiry is how long the word of an updater counts that is not heard of any more.
	BoardExpiry = 10 * time.Minute
	// MaxUpdaters is how many boards are read.
	MaxUpdaters = 1000
	// postEvery is how often an updater puts up what it knows.
	postEvery = 10 * time.Second
)

// A Board is where the updaters put up where their applications stand, so that each of them, and who only observes, can be
// asked about all.
type Board struct {
	records Records
	name    string

	mu     sync.Mutex
	posted time.Time
	last   time.Time // the last check of what was posted
	count  int
}

// NewBoard makes one; name is the updater's own.
func NewBoard(records Records, name string) *Board { return &Board{records: records, name: name} }

// Run posts what status gives until ctx ends, as often as it changes.
func (b *Board) Run(ctx context.Context, status func() []Status) {
	for ctx.Err() == nil {
		pause(ctx, postEvery)
		b.post(ctx, status())
	}
	_, _ = b.records.Put(context.WithoutCancel(ctx), map[string][]byte{b.name: nil})
}

func (b *Board) post(ctx context.Context, all []Status) {
	var last time.Time
	for i := range all {
		all[i].Updater = b.name
		if all[i].Checked.After(last) {
			last = all[i].Checked
		}
	}
	b.mu.Lock()
	same := last.Equal(b.last) && b.count == len(all) && time.Since(b.posted) < BoardExpiry/3
	b.mu.Unlock()
	if same {
		return
	}
	data, err := json.Marshal(all)
	if err != nil {
		return // times of more than four digits for the year
	}
	if _, err := b.records.Put(ctx, map[string][]byte{b.name: data}); err == nil {
		b.mu.Lock()
		b.posted, b.last, b.count = time.Now(), last, len(all)
		b.mu.Unlock()
	}
}

// Status is where all applications stand: own is what this process knows, the others' is read. Of an application that several
// speak of, the last word counts, and that of an updater which may write it before one that lacks the credential.
func (b *Board) Status(ctx context.Context, own []Status) []Status {
	best := map[identity]Status{}
	for _, s := range own {
		s.Updater = b.name
		best[identify(s.App)] = s
	}
	records, _, _, err := b.records.Since(ctx, "")
	if err != nil {
		records = nil // alone
	}
	for name, data := range records {
		var all []Status
		if name == b.name || data == nil || json.Unmarshal(data, &all) != nil {
			continue
		}
		for _, s := range all {
			s.Updater = name
			id := identify(s.App)
			if old, there := best[id]; !there || s.better(old) {
				best[id] = s
			}
		}
	}
	all := make([]Status, 0, len(best))
	for _, s := range best {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Status) int { return compareApps(a.App, b.App) })
	return all
}

func (s Status) better(old Status) bool {
	if s.Elsewhere != old.Elsewhere {
		return old.Elsewhere
	}
	return s.Checked.After(old.Checked)
}
