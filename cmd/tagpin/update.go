package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

type updateCommand struct {
	files  engineFlags
	update updateFlags
	apps   []string
	once   bool
}

func newUpdate() *cobra.Command {
	var f updateCommand
	cmd := &cobra.Command{
		Use:   "update --app PATH",
		Short: "Keep the pins in Git up to date, without rendering",
		Long: `Keep the pins in Git up to date, without rendering.

The applications are those of manifests, read again for every check. tagpin serve does the same for the applications that it
renders, so this is for CI and for who keeps Argo CD and the right to push apart.`,
		Example: `  tagpin update --app applications/ --settings tagpin.yaml --once`,
		Args:    cobra.NoArgs,
		RunE:    f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "info")
	f.update.register(flags)
	flags.StringArrayVar(&f.apps, "app", nil, "an Application manifest, or a directory of them; repeatable")
	flags.BoolVar(&f.once, "once", false, "check once, print where each application stands, and fail if one is blocked")
	return cmd
}

func (f *updateCommand) run(cmd *cobra.Command, _ []string) error {
	if len(f.apps) == 0 {
		return errors.New("--app is missing: name the manifests of the Applications to keep up to date")
	}
	if f.once && f.update.webhook != (webhookFlags{}) {
		return errors.New("--webhook-addr: with --once nobody listens: leave one of them out")
	}
	engine, err := f.files.open(cmd.Flags(), "")
	if err != nil {
		return err
	}
	store := manifests{f.apps, engine.log}
	hints, err := store.read()
	if err != nil {
		return err
	}
	if len(hints) == 0 {
		return errors.New("--app: no Application in there calls the plugin tagpin (spec.source.plugin.name)")
	}
	updater, err := f.update.open(cmd.Context(), cmd.Flags(), engine, store)
	if err != nil {
		return err
	}
	defer updater.close()
	if f.once {
		return checkOnce(cmd, updater)
	}
	hooks, err := f.update.webhook.open(cmd.Context(), engine, updater)
	if err != nil {
		return err
	}
	defer updater.start(cmd.Context(), engine, f.update.socket)()
	defer hooks.start(cmd.Context())()
	engine.log.Infof("tagpin %s checks %d applications every %s", version, len(hints), f.update.interval)
	<-cmd.Context().Done()
	return nil
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
