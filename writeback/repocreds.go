package writeback

import (
	"strings"
	"sync"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/git"
)

// loans are the credentials that Argo CD lent during renders, in memory alone. Each is for one application and the repository
// that it was rendered from.
type loans struct {
	mu    sync.Mutex
	known map[borrower]loan
}

type borrower struct{ project, app, repo string }

type loan struct {
	credentials git.Credentials
	fingerprint string
	problem     error
}

// maxLoans bounds the memory. Beyond it all are given up: the next renders bring them again.
const maxLoans = 20_000

// errNoLoan is the state after a start: what Argo CD lends comes with a render.
var errNoLoan error = noLoan("Argo CD's credentials for this repository are not known yet: the next render brings them (at a commit, " +
	"a hard refresh, or after 24 h)")

// A noLoan may be another replica's loan: the one that rendered the application.
type noLoan string

func (e noLoan) Error() string { return string(e) }
func (e noLoan) Unwrap() error { return image.ErrElsewhere }

func borrowerOf(a image.Application) borrower { return borrower{a.Project, a.Name, a.RepoURL} }

// Keep takes what Argo CD lends for an application, or why there is nothing to lend.
func (w *Writer) Keep(app image.Application, username, password string, problem error) {
	w.loans.mu.Lock()
	defer w.loans.mu.Unlock()
	if w.loans.known == nil || len(w.loans.known) >= maxLoans {
		w.loans.known = map[borrower]loan{}
	}
	credentials := git.Credentials{Username: username, Password: password}
	w.loans.known[borrowerOf(app)] = loan{credentials, w.fingerprint(credentials), problem}
}

// reference names an application's loan in a Place: equal for applications whose credentials are equal, so that they share a
// push, and telling nothing of them.
func (l *loans) reference(app image.Application) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	loan, ok := l.known[borrowerOf(app)]
	switch {
	case !ok:
		return "", errNoLoan
	case loan.problem != nil:
		return "", loan.problem
	}
	return loanPrefix + loan.fingerprint, nil
}

const loanPrefix = string(config.RepoCreds) + ":"

// lent finds the credentials of a reference.
func (l *loans) lent(reference string) (git.Credentials, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, loan := range l.known {
		if loan.problem == nil && loanPrefix+loan.fingerprint == reference {
			return loan.credentials, nil
		}
	}
	return git.Credentials{}, errNoLoan // it was replaced a moment ago: the next check has the new one
}

// bindable is the credential as the operator's bindings name it.
func bindable(reference string) string {
	if strings.HasPrefix(reference, loanPrefix) {
		return string(config.RepoCreds)
	}
	return reference
}
