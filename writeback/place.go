package writeback

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
)

// Place says where an application's pins go: the repository, the branch, and the credential that the operator bound for it.
// It is the one gate between what an application wants and what is written. Nothing is asked over the network.
func (w *Writer) Place(app image.Application, wb image.WriteBack) (image.Place, error) {
	credential, err := w.credentialOf(app, wb)
	if err != nil {
		return image.Place{}, fmt.Errorf("application %s: %w", app.Name, err)
	}
	p := image.Place{RepoURL: app.RepoURL, Credential: credential, Here: strings.HasPrefix(credential, loanPrefix)}
	if wb.Repository != "" {
		p.RepoURL = wb.Repository // bound like every other
	}
	base, write, separate := strings.Cut(wb.Branch, ":")
	if p.Base, p.Named, err = branchOf(app.TargetRevision, base); err != nil {
		return image.Place{}, fmt.Errorf("application %s: %w", app.Name, err)
	}
	p.Write = p.Base
	if separate && write != base && write != p.Base {
		if _, err := w.proposalName(app.Name, write); err != nil {
			return image.Place{}, fmt.Errorf("application %s: git-branch: %w", app.Name, err)
		}
		p.Write = write
	}
	return p, w.bound(app, p, "", "")
}

// branchOf finds the branch whose files are read. target is the application's target revision, base the one of its git-branch;
// named says that both name the same.
func branchOf(target, base string) (name string, named bool, err error) {
	target = strings.TrimPrefix(target, "refs/heads/")
	if target == "HEAD" {
		target = ""
	}
	switch {
	case base == "":
		return target, false, nil
	case target == "":
		return base, false, nil // followed if the default branch is called so
	case base != target:
		return "", false, &image.NotFollowedError{Branch: target}
	}
	return base, true, nil
}

// credentialOf is the credential that a write-back-method names.
func (w *Writer) credentialOf(app image.Application, wb image.WriteBack) (string, error) {
	reference, ok := strings.CutPrefix(wb.Method, "git:")
	switch {
	case !ok:
		return "", fmt.Errorf("write-back-method %q writes nothing", wb.Method)
	case reference != string(config.RepoCreds):
		return reference, nil
	case wb.Repository != "" && wb.Repository != app.RepoURL:
		return "", errors.New("Argo CD's credentials are for the application's own repository, and git-repository names another: use " + //nolint:staticcheck // a name begins it
			"write-back-method git:secret:<namespace>/<name>")
	}
	return w.loans.reference(app)
}

// bound finds the operator's binding. With no branch known yet, a binding that lists branches counts, and is looked at again
// when the remote has told the default branch's name. outside is what is to be written outside of the application's path, if any.
func (w *Writer) bound(app image.Application, p image.Place, branch, outside string) error {
	if branch == "" {
		branch = p.Base
	}
	_, err := w.o.Settings.Bound(config.Use{
		Credential: bindable(p.Credential), Kind: config.Git, URL: p.RepoURL,
		App:    config.App{Name: app.Name, Project: app.Project, RepoURL: app.RepoURL, Path: app.Path, Branch: branch},
		Target: outside,
	})
	var unbound *config.UnboundError
	if branch == "" && errors.As(err, &unbound) && slices.Equal(unbound.Differs, []string{"branch"}) {
		return nil
	}
	return err
}
