package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/resolve"
	"github.com/tagpin/tagpin/writeback"
)

// doctorTimeout bounds the steps of one image, and those in Git.
const doctorTimeout = 2 * time.Minute

// A doctor examines applications.
type doctor struct {
	*examination
	engine *engine
	writer *writeback.Writer
}

func (d doctor) application(ctx context.Context, h reconcile.Hint) {
	d.app = h.App.Name
	defer func() { d.app = "" }()
	options, err := image.ParseOptions(image.Input{Parameters: h.Parameters, Env: h.Env, Defaults: d.engine.defaults()})
	if err == nil && len(options.Images) == 0 {
		err = errors.New("there is no image to keep up to date: set image-list")
	}
	if !d.note("parameters", "", fmt.Sprintf("images: %d, write-back-method: %s", len(options.Images), options.WriteBack.Method), err) {
		return
	}
	for _, e := range options.Images {
		d.image(ctx, h.App, e)
	}
	d.git(ctx, image.Update{App: h.App, Options: options})
}

// image goes from the registry's name to a manifest. A step that failed ends it: the next ones would say the same.
func (d doctor) image(ctx context.Context, app image.Application, e image.Entry) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	left := []string{"dns", "connect", "challenge", "credential", "login", "list", "choice", "manifest"}
	about := e.Image.Name()
	step := func(found string, err error) bool {
		name := left[0]
		left = left[1:]
		if !d.note(name, about, found, err) {
			d.skip(about, name+" failed", left...)
			return false
		}
		return true
	}
	if d.reach(ctx, e.Image, step) {
		d.ask(ctx, app, e, step)
	}
}

// reach looks at the host as a stranger.
func (d doctor) reach(ctx context.Context, img image.Image, step func(string, error) bool) bool {
	probe, err := d.engine.registries.Probe(img)
	if err != nil {
		return step("", err)
	}
	addresses, err := probe.Lookup(ctx)
	found := probe.Host + " is " + strings.Join(addresses, ", ")
	if len(addresses) == 0 {
		found = "left to the proxy"
	}
	if !step(found, err) {
		return false
	}
	challenge, err := probe.Challenge(ctx)
	if !step(connection(challenge), err) || !step(wanted(challenge), challenge.Problem) {
		return false
	}
	if challenge.Claimed != nil {
		d.Steps[len(d.Steps)-1].Proposal = fmt.Sprintf("the registry says that it is instance %s in %s. That proves nothing. If it is yours, add "+
			"%s", challenge.Claimed.ID, challenge.Claimed.Region, probe.Propose(*challenge.Claimed))
	}
	return true
}

func connection(c registry.Challenge) string {
	switch {
	case c.TLS == "":
		return "plain http, as registries.conf says"
	case c.Unverified:
		return c.TLS + "; the certificate is not verified, as registries.conf says"
	}
	return c.TLS + ", the certificate is good"
}

func wanted(c registry.Challenge) string {
	switch {
	case c.Scheme == "":
		return "none: the registry asks for no login"
	case c.Realm == "":
		return c.Scheme
	}
	return c.Scheme + " from " + c.Realm
}

// ask puts the questions that an update would put.
func (d doctor) ask(ctx context.Context, app image.Application, e image.Entry, step func(string, error) bool) {
	repo, err := d.engine.registries.Repository(ctx, app, e)
	credential := ""
	if err == nil {
		credential = cmp.Or(repo.Credential(), "none: the registry is asked anonymously")
	}
	if !step(credential, err) {
		d.proposeBinding(err)
		return
	}
	token, err := repo.Login(ctx)
	found := "a token was granted"
	if !token {
		found = "no token server: what counts is whether the list comes"
	}
	if !step(found, err) {
		return
	}
	d.engine.registries.MarkStale(e.Image) // what another step or name of this registry was told proves nothing here
	tags, err := repo.Tags(ctx)
	if err == nil && repo.Staleness() > 0 {
		err = errors.New("the registry can't be asked any more")
	}
	if !step(fmt.Sprintf("%d tags", len(tags)), err) {
		return
	}
	choice, err := resolve.Resolve(ctx, repo, e, time.Now())
	if err == nil && choice.Tag == "" {
		err = resolve.NoMatch(choice)
	}
	if !step(choice.Tag+" is the newest that is allowed", err) {
		return
	}
	described, err := repo.Describe(ctx, choice.Tag, nil)
	step(described.Digest, err)
}

// git looks at the branch that pins go to.
func (d doctor) git(ctx context.Context, u image.Update) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	about := withoutUser(cmp.Or(u.Options.WriteBack.Repository, u.App.RepoURL))
	steps := []string{"git-binding", "git-read", "git-push"}
	switch u.Options.WriteBack.Method {
	case "none":
		d.skip(about, "write-back-method none writes nothing", steps...)
		return
	case "git:repocreds":
		d.skip(about, "Argo CD lends its credentials during renders alone: see tagpin status", steps...)
		return
	}
	place, err := d.writer.Place(u.App, u.Options.WriteBack)
	if !d.note(steps[0], about, place.Credential, err) {
		d.proposeBinding(err)
		d.skip(about, "git-binding failed", steps[1:]...)
		return
	}
	branch, err := d.writer.Read(ctx, place, []image.Update{u}, true)
	if err == nil {
		err = followed(place, branch)
	}
	for _, r := range branch.Apps {
		err = cmp.Or(err, r.Err)
	}
	if !d.note(steps[1], about, "branch "+branch.Name, err) {
		d.skip(about, "git-read failed", steps[2])
		return
	}
	d.note(steps[2], about, "a push may begin; whether the branch is protected shows when one is sent", d.writer.TryPush(ctx, place, branch))
}

// followed is the branch rule of updates.
func followed(p image.Place, b image.Branch) error {
	if !b.Exists || !p.Named && !b.Default {
		return &image.NotFollowedError{Branch: b.Name, NoBranch: !b.Exists}
	}
	return nil
}

// proposeBinding keeps the lines apart that the operator could add.
func (d doctor) proposeBinding(err error) {
	var unbound *config.UnboundError
	if !errors.As(err, &unbound) {
		return
	}
	for i, s := range d.Steps {
		if s.State == stepFailed && s.Application == d.app && s.Detail == err.Error() {
			d.Steps[i].Detail, _, _ = strings.Cut(s.Detail, "\n")
			d.Steps[i].Proposal = "in tagpin.yaml:\n" + unbound.Add
		}
	}
}
