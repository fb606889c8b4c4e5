// Package reconcile keeps the pins in Git up to date. Feed Loop.Observe with what renders saw, and let Loop.Run check every
// application each interval: resolve, compare with the pins at the branch's tip, write what is newer, and say of each
// application where it stands (Loop.Status).
//
// What a render saw is a hint and proves nothing: Writer.Place says whether, and where, an application may write at all. A
// check whose choices are those of the check before makes no request to Git.
package reconcile

import (
	"context"
	"time"

	"github.com/tagpin/tagpin/image"
)

// A Hint is what one render saw of an application.
type Hint struct {
	App        image.Application
	Parameters []image.Parameter
	Env        map[string]string
	// Files names the state of the file with the pins: equal ones hold the same. Empty: not known.
	Files string
	Seen  time.Time
}

// A Store keeps hints. It is shared by all that observe or update; losing it costs nothing but time, since every render
// tells again.
type Store interface {
	// Add keeps hints. Of the same application and parameters only the last is kept.
	Add(ctx context.Context, hints ...Hint) error
	// Hints gives all that is known, in no particular order.
	Hints(ctx context.Context) ([]Hint, error)
	// Some gives what is known of these applications; their Revision doesn't matter. It is asked each time something is pushed,
	// so it should not cost what Hints does.
	Some(ctx context.Context, apps []image.Application) ([]Hint, error)
	// Forget drops an application by its name.
	Forget(ctx context.Context, app string) error
}

// A Resolver asks the registry.
type Resolver interface {
	// Resolve finds the newest allowed tag.
	Resolve(ctx context.Context, app image.Application, e image.Entry) (image.Choice, error)
	// Newer says whether a tag comes after another by the entry's own order. It may ask the registry; an error means that the
	// two can't be compared.
	Newer(ctx context.Context, app image.Application, e image.Entry, tag, than string) (bool, error)
}

// A Rechecker is a Resolver that remembers answers, and can doubt them.
type Rechecker interface {
	// Lists says whether a tag is in the list that the last choice rests on.
	Lists(ctx context.Context, app image.Application, e image.Entry, tag string) (bool, error)
	// ResolveSince is Resolve from answers to questions that were put after a moment.
	ResolveSince(ctx context.Context, app image.Application, e image.Entry, moment time.Time) (image.Choice, error)
}

// A Writer is the Git edge.
type Writer interface {
	// Place says where an application's pins go. An error says why they may not be written, and what the operator can change.
	Place(app image.Application, w image.WriteBack) (image.Place, error)
	// Read gives what the place's branch says of the applications. Unless fresh is asked for, it may start from where the branch
	// was last known to be: if it moved since, the push finds out.
	Read(ctx context.Context, p image.Place, updates []image.Update, fresh bool) (image.Branch, error)
	// Newest gives the revision that comes last in the history of the place's branch. Revisions that are not found there come
	// before all others, in their order.
	Newest(ctx context.Context, p image.Place, revisions []string) (string, error)
	// LastWritten gives, for each image, the pin that tagpin wrote last, as the history of the branch tells.
	LastWritten(ctx context.Context, p image.Place, b image.Branch, u image.Update) (image.History, error)
	// Write puts one commit per application on top of b and pushes them at once.
	Write(ctx context.Context, p image.Place, b image.Branch, commits []image.Commit) (image.Written, error)
}

// Peers divide the repositories among several updaters. Whether they agree doesn't matter to what is pushed.
type Peers interface {
	// Share says which repositories are this updater's now.
	Share(ctx context.Context) func(repoURL string) bool
}

// Pauses keep a distance between the pushes of several updaters.
type Pauses interface {
	// Take begins a pause of d for what. When one lasts already, wait is the rest of it. giveBack ends the new one again.
	Take(ctx context.Context, what string, d time.Duration) (wait time.Duration, giveBack func())
}

// Status is where an application stands.
type Status struct {
	App     image.Application `json:"app"`
	Checked time.Time         `json:"checked"`
	State   image.State       `json:"state"`
	// Reason says in a sentence why a newer tag is not pinned, and what to change.
	Reason string        `json:"reason,omitempty"`
	Images []ImageStatus `json:"images,omitempty"`
	// Commit is the last one that tagpin made for the application since it started.
	Commit string `json:"commit,omitempty"`
	// Updater is who checked it, where several do.
	Updater string `json:"updater,omitempty"`
	// Elsewhere means that this updater lacks what another one may have, see image.ErrElsewhere.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

// ImageStatus is where one image stands.
type ImageStatus struct {
	Alias  string `json:"alias,omitempty"`
	Image  string `json:"image"`
	Choice string `json:"choice,omitempty"`
	Pinned string `json:"pinned,omitempty"`
	// State is empty where the check didn't come to a verdict on this image: then the application's says why.
	State  image.State `json:"state,omitempty"`
	Reason string      `json:"reason,omitempty"`
}
