package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/reconcile"
)

type updateCommand struct {
	files  engineFlags
	update updateFlags
	watch  monitorFlags
	apps   []string
	once   bool
}

func newUpdate() *cobra.Command {
	var f updateCommand
	cmd := &cobra.Command{
		Use:   "update [--app PATH]",
		Short: "Keep the pins in Git up to date, without rendering",
		Long: `Keep the pins in Git up to date, without rendering.

The applications are those that tagpin serve --update-loop=false sees, by Argo CD's Redis: for who keeps the right to push apart.
With --app they are those of manifests, read again for every check: for CI.`,
		Example: `  tagpin update --redis argocd-redis:6379
  tagpin update --app applications/ --settings tagpin.yaml --once`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "info")
	f.files.redis.register(flags)
	f.update.register(flags)
	f.update.verify.register(flags)
	f.watch.register(flags)
	flags.StringArrayVar(&f.apps, "app", nil, "an Application manifest, or a directory of them; repeatable (default: what Redis has)")
	flags.BoolVar(&f.once, "once", false, "check once, print where each application stands, and fail if one is blocked")
	return cmd
}

func (f *updateCommand) run(cmd *cobra.Command, _ []string) error {
	if f.once && (f.update.webhook != (webhookFlags{}) || f.watch != (monitorFlags{})) {
		return errors.New("--webhook-addr, --metrics-addr and --pprof-socket: with --once nobody listens: leave one of them out")
	}
	if err := f.update.expiry.check(); err != nil {
		return err
	}
	engine, err := f.files.open(cmd.Flags(), "")
	if err != nil {
		return err
	}
	defer engine.close()
	store, err := f.store(cmd, engine)
	if err != nil {
		return err
	}
	f.update.alone = f.once
	updater, err := f.update.open(cmd.Context(), cmd.Flags(), engine, store)
	if err != nil {
		return err
	}
	defer updater.close()
	if f.once {
		return checkOnce(cmd, updater)
	}
	stop, err := updater.start(cmd.Context(), engine)
	if err != nil {
		return err
	}
	defer stop()
	monitor, err := f.watch.open(cmd.Context(), engine)
	if err != nil {
		return err
	}
	defer monitor.start(cmd.Context(), updater.ready)()
	<-cmd.Context().Done()
	return nil
}

// store is nil where the applications come from Redis.
func (f *updateCommand) store(cmd *cobra.Command, e *engine) (reconcile.Store, error) {
	if len(f.apps) == 0 {
		if e.redis == nil {
			return nil, errors.New("which applications? --app names their manifests; --redis takes those that tagpin serve sees")
		}
		if !f.once {
			return nil, nil
		}
		return nil, e.redis.Ping(cmd.Context())
	}
	store := manifests{f.apps, e.log}
	hints, err := store.read()
	if err != nil {
		return nil, err
	}
	if len(hints) == 0 {
		return nil, errors.New("--app: no Application in there calls the plugin tagpin (spec.source.plugin.name)")
	}
	return store, nil
}

func checkOnce(cmd *cobra.Command, u *updater) error {
	summary := u.Check(cmd.Context())
	if err := printStatus(cmd.OutOrStdout(), newStatusReply(u.Status())); err != nil {
		return err
	}
	if errors.Is(cmd.Context().Err(), context.Canceled) {
		return errors.New("interrupted")
	}
	if summary.Errors > 0 {
		return errSilent // the table says it all
	}
	return nil
}
