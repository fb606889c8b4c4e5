package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/metrics"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/resolve"
	"github.com/tagpin/tagpin/writeback"
	"github.com/tagpin/tagpin/writeback/git"
)

// The places of Argo CD's ConfigMaps in its own containers, and of argocd-image-updater's template.
const (
	defaultKnownHosts    = "/app/config/ssh/ssh_known_hosts"
	defaultTLSCerts      = "/app/config/tls"
	defaultCommitMessage = "/app/config/commit.template"
)

// updateFlags are those of the update loop. The names of the commit's are argocd-image-updater's.
type updateFlags struct {
	interval, distance time.Duration
	git                gitFlags
	socket             string
	expiry             expiryFlag
	commit             commitFlags
	webhook            webhookFlags
	verify             verifyFlags // of tagpin update
	// alone keeps a process that ends after one check from taking a share of the others' work.
	alone bool
}

type commitFlags struct {
	user, email, message, signingKey, signingMethod string
	signOff                                         bool
}

func (f *updateFlags) register(flags *pflag.FlagSet) {
	flags.DurationVar(&f.interval, "interval", reconcile.DefaultInterval, "how often every application is checked for newer tags")
	flags.DurationVar(&f.distance, "push-distance", reconcile.DefaultDistance, "the least time between two pushes to one branch")
	f.git.register(flags)
	flags.StringVar(&f.socket, "status-socket", defaultStatusSocket(), "the Unix socket that tagpin status asks; empty: none")
	f.expiry.register(flags)
	f.commit.register(flags)
	f.webhook.register(flags)
}

func (f *commitFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.user, "git-commit-user", writeback.DefaultUser, "the author of commits")
	flags.StringVar(&f.email, "git-commit-email", writeback.DefaultEmail, "the author's e-mail address")
	flags.StringVar(&f.message, "git-commit-message-path", defaultCommitMessage, "a template of commit messages, where it exists")
	flags.StringVar(&f.signingKey, "git-commit-signing-key", "", "a file with the private key (without passphrase) that signs commits")
	flags.StringVar(&f.signingMethod, "git-commit-signing-method", git.SignOpenPGP, "openpgp or ssh")
	flags.BoolVar(&f.signOff, "git-commit-sign-off", false, "add Signed-off-by to commits")
}

// An updater is the update loop with what it needs while it runs.
type updater struct {
	*reconcile.Loop
	flags  updateFlags
	shared *sharing
	told   string // where the applications come from
	writer *writeback.Writer
	signer *git.Signer
}

func (f *updateFlags) check() error {
	if f.interval < time.Second || f.distance < 0 {
		return errors.New("--interval must be 1s or more, and --push-distance can't be negative")
	}
	return f.expiry.check()
}

// open builds an updater. Nothing runs, and no server is asked, before its start or Check. Without a store, the applications are
// those that renders tell, kept in Redis or in memory.
func (f *updateFlags) open(ctx context.Context, flags *pflag.FlagSet, e *engine, store reconcile.Store) (*updater, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	template, err := f.commit.template(flags.Changed("git-commit-message-path"))
	if err != nil {
		return nil, err
	}
	signer, err := f.commit.signer(ctx)
	if err != nil {
		return nil, err
	}
	writer, err := writeback.New(writeback.Options{
		CacheDir:   f.git.dir(),
		Settings:   e.settings,
		Secrets:    e.secrets,
		KnownHosts: f.git.knownHosts,
		CADir:      f.git.tlsCerts,
		Author:     git.Person{Name: f.commit.user, Email: f.commit.email},
		Template:   template,
		SignOff:    f.commit.signOff,
		Sign:       signer,
		Same:       e.registries.SameImage,
	})
	if err != nil {
		return nil, err
	}
	verifier, err := f.verify.open(e)
	if err != nil {
		return nil, err
	}
	u := &updater{signer: signer, writer: writer, flags: *f, shared: e.share(f.expiry)}
	options := reconcile.Options{
		Store:    store,
		Resolver: updateResolver{e.metrics.Resolver(e), e},
		Writer:   e.metrics.Writer(writer),
		Told:     e.metrics.Round,
		Identity: e.registries.Identity,
		Defaults: e.defaults(),
		Verifier: verifier, Overrides: writer,
		Interval: f.interval,
		Distance: max(f.distance, 1), // zero would mean the default
		Log:      e.log,
	}
	if template != nil && template.UsesLabels() {
		options.Writer = labeller{options.Writer, e}
	}
	options.ExistingOnly = e.settings.Updates.FirstPin == config.ExistingPins
	if u.shared != nil {
		options.Pauses = e.redis.Pauses("pushes")
	}
	if store == nil {
		options.Store, u.told = u.shared.storeFor(f.expiry), u.shared.whereKept()
		if u.shared != nil && !f.alone {
			options.Peers = u.shared.peers
		}
	}
	u.Loop = reconcile.New(options)
	e.metrics.ReadLoop(u)
	return u, nil
}

// template is nil for the default one.
func (f *commitFlags) template(required bool) (*git.Template, error) {
	text, err := os.ReadFile(f.message)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--git-commit-message-path: %w", err)
	}
	template, err := git.ParseMessage(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.message, err)
	}
	return template, nil
}

func (f *commitFlags) signer(ctx context.Context) (*git.Signer, error) {
	if f.signingKey == "" {
		return nil, nil
	}
	key, err := os.ReadFile(f.signingKey)
	if err != nil {
		return nil, fmt.Errorf("--git-commit-signing-key takes the path of a private key: %w", err)
	}
	signer, err := git.OpenSigner(ctx, f.signingMethod, key)
	if err != nil {
		return nil, fmt.Errorf("--git-commit-signing-key: %w", err)
	}
	return signer, nil
}

// start runs the loop, the status server and the port for webhooks in the background. stop ends them, once nothing observes any
// more. A push on its way is broken off: it arrives as a whole or not at all, and the next process finds out.
func (u *updater) start(ctx context.Context, e *engine) (stop func(), err error) {
	hooks, err := u.flags.webhook.open(ctx, e, u.shared.loud(u.Loop))
	if err != nil {
		return nil, err
	}
	e.log.Infof("tagpin %s: every %s newer tags are pinned; %s", version, u.flags.interval, cmp.Or(u.told, "the applications are those of --app"))
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopSharing := u.shared.start(ctx, u.Loop)
	closeStatus := serveStatus(ctx, u.flags.socket, func(ctx context.Context) []reconcile.Status { return u.shared.status(ctx, u.Loop) }, e.log)
	stopHooks := hooks.start(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.Run(ctx)
	}()
	return func() {
		stopHooks()
		closeStatus()
		cancel()
		<-done
		stopSharing()
	}, nil
}

// close deletes the signing key. It comes after stop.
func (u *updater) close() {
	if u.signer != nil {
		_ = u.signer.Close() // it lies in the temporary directory, which ends with the container
	}
}

// Observe implements plugin.Observer.
func (u *updater) Observe(o plugin.Observation) {
	u.Loop.Observe(hintOf(o))
}

func hintOf(o plugin.Observation) reconcile.Hint {
	return reconcile.Hint{App: o.App, Parameters: o.Parameters, Env: o.Env, Files: o.Files}
}

// updateResolver is an engine for the loop: "no tag qualifies" comes with its reasons.
type updateResolver struct {
	metrics.Resolver
	e *engine
}

// Resolve implements reconcile.Resolver.
func (r updateResolver) Resolve(ctx context.Context, app image.Application, entry image.Entry) (image.Choice, error) {
	return withReasons(r.Resolver.Resolve(ctx, app, entry))
}

// ResolveSince implements reconcile.Rechecker.
func (r updateResolver) ResolveSince(ctx context.Context, app image.Application, entry image.Entry, moment time.Time) (image.Choice, error) {
	return withReasons(r.e.ResolveSince(ctx, app, entry, moment))
}

func withReasons(choice image.Choice, err error) (image.Choice, error) {
	if err == nil && choice.Tag == "" {
		err = resolve.NoMatch(choice)
	}
	return choice, err
}

// Lists implements reconcile.Rechecker.
func (r updateResolver) Lists(ctx context.Context, app image.Application, entry image.Entry, tag string) (bool, error) {
	repo, err := r.e.registries.Repository(ctx, app, entry)
	if err != nil {
		return false, err
	}
	return repo.Lists(tag), nil
}

// Newer implements reconcile.Resolver.
func (r updateResolver) Newer(ctx context.Context, app image.Application, entry image.Entry, tag, than string) (bool, error) {
	repo, err := r.e.registries.Repository(ctx, app, entry)
	if err != nil {
		return false, err
	}
	return resolve.Newer(ctx, repo, entry, tag, than)
}
