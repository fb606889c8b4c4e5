package image

// A Place is where pins of an application are written: a branch of a repository, with the credential that may push there.
// Applications with equal places share a push.
type Place struct {
	// RepoURL is the repository to push to.
	RepoURL string
	// Base is the branch whose files are read and changed; empty means the remote's default branch.
	Base string
	// Write is the branch that is pushed to: Base, or a branch of proposals.
	Write string
	// Named says that git-branch names Base. Otherwise Base must turn out to be the default branch.
	Named bool
	// Credential is the reference under which the operator bound it.
	Credential string
}

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
}

// A State says in a word where an application stands after a check.
type State string

// The states. All but UpToDate and Updated mean that something keeps a newer tag from being pinned.
const (
	UpToDate    State = "up-to-date"
	Updated     State = "updated"
	Held        State = "held"         // a person's pin, or hold: true
	NotFollowed State = "not-followed" // the branch is not the one that is updated
	Refused     State = "refused"      // the operator's bindings, or the target, don't allow it
	NoChoice    State = "no-choice"    // the registry gave no decision, or no tag qualifies
	Blocked     State = "blocked"      // Git does not take the commit
)
