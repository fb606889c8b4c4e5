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
	Seen       time.Time
}

// A Store keeps hints. It is shared by all that observe or update; losing it costs nothing but time, since every render
// tells again.
type Store interface {
	// Add keeps a hint. Of the same application, revision and parameters only the last is kept.
	Add(ctx context.Context, h Hint) error
	// Hints gives all that is known, in no particular order.
	Hints(ctx context.Context) ([]Hint, error)
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

// A Writer is the Git edge.
type Writer interface {
	// Place says where an application's pins go. An error says why they may not be written, and what the operator can change.
	Place(app image.Application, w image.WriteBack) (image.Place, error)
	// Read gives what the place's branch says of the applications now. It is one Branch for all of them.
	Read(ctx context.Context, p image.Place, updates []image.Update) (Branch, error)
	// Newest gives the revision that comes last in the history of the place's branch. Revisions that are not found there come
	// before all others, in their order.
	Newest(ctx context.Context, p image.Place, revisions []string) (string, error)
	// LastWritten gives, for each image, the pin that tagpin wrote last, as the history of the branch tells.
	LastWritten(ctx context.Context, p image.Place, b Branch, u image.Update) (History, error)
	// Write puts one commit per application on top of b and pushes them at once.
	Write(ctx context.Context, p image.Place, b Branch, commits []Commit) (Written, error)
}

// A Branch is a branch at one moment.
type Branch struct {
	// Name is the branch; Default tells whether it is the remote's default one. Exists is false when there is none of the name.
	Name            string
	Exists, Default bool
	// Tip is its commit.
	Tip string
	// Apps are what it says of the applications that were asked for, in their order.
	Apps []Recorded
}

// Recorded is what a branch says of one application.
type Recorded struct {
	// Pins are those of the application's images, in their order; nil where nothing is pinned.
	Pins []*image.Pin
	// Targets name what each image is written to: equal for two applications only where they write the same scalar.
	Targets []string
	// Err says why the application's target can't be read or changed.
	Err error
	// Risk names what may go wrong with this target, or is empty.
	Risk string
}

// History is what the branch's commits tell of an application's images.
type History struct {
	// Pins are the ones tagpin wrote last, in the order of the images; nil where it wrote none.
	Pins []*image.Pin
	// Complete is false when the search ended at its bound: then a missing pin proves nothing.
	Complete bool
}

// A Commit is what changes for one application.
type Commit struct {
	Update  image.Update
	Changes []image.Change
}

// Written is the outcome of a push.
type Written struct {
	// Moved means that somebody else pushed first: read again.
	Moved bool
	// Refused says, when not empty, why the remote does not take the push: a protected branch, a hook.
	Refused string
	// Commits are the new commits, in the order of the applications.
	Commits []string
	// Errs are the applications' own failures, by index: their files could not be edited.
	Errs map[int]error
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
}

// ImageStatus is where one image stands.
type ImageStatus struct {
	Alias  string `json:"alias,omitempty"`
	Image  string `json:"image"`
	Choice string `json:"choice,omitempty"`
	Pinned string `json:"pinned,omitempty"`
	Reason string `json:"reason,omitempty"`
}
