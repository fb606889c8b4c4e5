package image

// A Place is where pins of an application are written: a branch of a repository, with the credential that may push there.
// Applications with equal places share a push.
type Place struct {
	// RepoURL is the repository to push to.
	RepoURL string
	// Base is the branch whose files are read and changed; empty means the remote's default branch.
	Base string
	// Write is the branch that is pushed to: Base, or the template of the name of a branch of proposals.
	Write string
	// Named says that git-branch names Base. Otherwise Base must turn out to be the default branch.
	Named bool
	// Credential is the reference under which the operator bound it.
	Credential string
	// Here says that this process alone has the credential.
	Here bool
}

// Proposes says that pins go to a branch of their own, for people to merge: nothing that renders changes.
func (p Place) Proposes() bool { return p.Write != p.Base }

// An Update is what one check found for an application.
type Update struct {
	App     Application
	Options Options
	// Choices are those of Options.Images, in their order.
	Choices []Choice
}

// A Change takes one image of one application from one pin to another. The commit message, the log line, the metric and the
// trailer are made of it.
type Change struct {
	App Application
	// Index is the image's place in Options.Images.
	Index      int
	From, To   Pin
	Strategy   Strategy
	Constraint string
	// Labels are those of the new image, where they are asked for.
	Labels map[string]string
}

// A State says in a word where an application stands after a check.
type State string

// The states. Those that Stops names mean that something keeps a newer tag from being pinned.
const (
	UpToDate    State = "up-to-date"
	Updated     State = "updated"
	Waiting     State = "waiting"      // for the end of the time between two pushes
	Proposed    State = "proposed"     // on a branch of its own; Git's base says what runs
	Held        State = "held"         // a person's pin, or hold: true
	NotFollowed State = "not-followed" // the branch is not the one that is updated
	Refused     State = "refused"      // the operator's bindings, or the target, don't allow it
	NoChoice    State = "no-choice"    // the registry gave no decision, or no tag qualifies
	Blocked     State = "blocked"      // Git does not take the commit
)

// States are all of them.
func States() []State {
	return []State{UpToDate, Updated, Waiting, Proposed, Held, NotFollowed, Refused, NoChoice, Blocked}
}

// Stops says whether nothing is pinned until somebody does something about it, or a server is back.
func (s State) Stops() bool {
	return s == Held || s == NotFollowed || s == Refused || s == NoChoice || s == Blocked
}

// A Branch is a branch at one moment.
type Branch struct {
	// Name is the branch; Default tells whether it is the remote's default one. Exists is false when there is none of the name.
	Name            string
	Exists, Default bool
	// Tip is its commit. Remembered means that the remote was not asked: the branch may have moved.
	Tip        string
	Remembered bool
	// Apps are what it says of the applications that were asked for, in their order.
	Apps []Recorded
}

// Recorded is what a branch says of one application.
type Recorded struct {
	// Pins are those of the application's images, in their order; nil where nothing is pinned.
	Pins []*Pin
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
	Pins []*Pin
	// Others are pins that another application wrote to the same place later than that; nil where there is none.
	Others []*ForeignPin
	// Complete is false when the search ended at its bound: then a missing pin proves nothing.
	Complete bool
}

// A ForeignPin is what another application wrote.
type ForeignPin struct {
	App string
	Pin
}

// A Commit is what changes for one application.
type Commit struct {
	Update  Update
	Changes []Change
}

// Written is the outcome of a push.
type Written struct {
	// Moved means that somebody else pushed first: read again.
	Moved bool
	// Refused says, when not empty, why the remote does not take the push: a protected branch, a hook.
	Refused string
	// Commits are the new commits, in the order of the applications; empty where there was nothing to commit.
	Commits []string
	// Branches are the branches on which changes are proposed, in the same order; nil when they are written to the base.
	Branches []string
	// Errs are the applications' own failures, by index: their files could not be edited.
	Errs map[int]error
}
