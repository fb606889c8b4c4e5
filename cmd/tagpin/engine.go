package main

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/metrics"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/redis"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/resolve"
)

// The places of the operator's files in the sidecar; the first is also argocd-image-updater's.
const (
	defaultRegistriesConf = "/app/config/registries.conf"
	defaultSecretsDir     = "/app/secrets"
)

// engineFlags name the operator's files and say what is logged.
type engineFlags struct {
	registriesConf, settings, secretsDir string
	cacheTTL                             time.Duration
	logs                                 logFlags
	redis                                redisFlags
}

// register takes the log level that the command has by default.
func (f *engineFlags) register(flags *pflag.FlagSet, logLevel string) {
	f.logs.register(flags, logLevel)
	flags.StringVar(&f.registriesConf, "registries-conf-path", defaultRegistriesConf, "the registries and their credentials")
	flags.StringVar(&f.settings, "settings", "", "the operator's settings (default "+config.DefaultPath+", where it exists)")
	flags.StringVar(&f.secretsDir, "secrets-dir", defaultSecretsDir, "mounted Secrets, as <namespace>/<name>/<field>")
	flags.DurationVar(&f.cacheTTL, "cache-ttl", cache.DefaultTTL, "how long a list of tags is used before the registry is asked again")
}

// An engine is what every command that decides needs.
type engine struct {
	settings   config.Settings
	secrets    config.Secrets
	registries *registry.Registries
	redis      *redis.Client // nil where nothing is shared
	metrics    *metrics.Metrics
	log        *logrus.Logger
}

func (e *engine) close() {
	if e.redis != nil {
		_ = e.redis.Close() // it keeps nothing
	}
}

// open reads the operator's files. credentials, which may be empty, goes before those of registries.conf.
func (f engineFlags) open(flags *pflag.FlagSet, credentials string) (*engine, error) {
	log, err := f.logs.logger()
	if err != nil {
		return nil, err
	}
	settings, err := config.Load(f.settings)
	if err != nil {
		return nil, err
	}
	client, err := f.redis.open(log)
	if err != nil {
		return nil, err
	}
	secrets, counted := config.OpenSecrets(f.secretsDir), metrics.New(version)
	registries, err := registry.New(registry.Options{
		ConfPath:     f.registriesConf,
		ConfRequired: flags.Changed("registries-conf-path"),
		Secrets:      secrets,
		Settings:     settings,
		Credentials:  credentials,
		CacheTTL:     f.cacheTTL,
		Told:         counted.Attempt,
		Shared:       sharedCaches(client, log),
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	counted.ReadRegistries(registries)
	return &engine{settings, secrets, registries, client, counted, log}, nil
}

// Resolve implements plugin.Resolver.
func (e *engine) Resolve(ctx context.Context, app image.Application, entry image.Entry) (image.Choice, error) {
	return e.ResolveSince(ctx, app, entry, time.Time{})
}

// ResolveSince is Resolve from answers to questions that were put after a moment.
func (e *engine) ResolveSince(ctx context.Context, app image.Application, entry image.Entry, moment time.Time) (image.Choice, error) {
	repo, err := e.registries.Repository(ctx, app, entry)
	if err != nil {
		return image.Choice{Image: entry.Image}, err
	}
	repo.Since(moment)
	choice, err := resolve.Resolve(ctx, repo, entry, time.Now())
	choice.Stale = repo.Staleness()
	return choice, err
}

// defaults are the operator's, for parsing parameters.
func (e *engine) defaults() image.Defaults {
	return image.Defaults{WriteBackMethod: string(e.settings.Defaults.WriteBackMethod)}
}

// generator makes the recipe. observer may be nil: nobody is told of pinned renders.
func (e *engine) generator(observer plugin.Observer, render plugin.Renderer) *plugin.Generator {
	return plugin.NewGenerator(plugin.Settings{
		Resolver:     timedResolver{e.metrics.Resolver(e), e.metrics},
		NoMatch:      resolve.NoMatch,
		Pins:         timedPins{pinReader{e.log, e.registries.SameImage}, e.metrics},
		Observer:     observer,
		Render:       render,
		Defaults:     e.defaults(),
		BuildOptions: string(e.settings.Kustomize.BuildOptions),
		AllowEmpty:   e.settings.AllowsEmpty,
		MaxOutput:    int(e.settings.Limits.ManifestBytes),
		Version:      version,
		Log:          e.log,
	})
}
