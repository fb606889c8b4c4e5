package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/reconcile"
)

type forgetFlags struct {
	logs  logFlags
	redis redisFlags
}

func newForget() *cobra.Command {
	var f forgetFlags
	cmd := &cobra.Command{
		Use:   "forget APPLICATION",
		Short: "Stop following an application that is gone, without waiting for its expiry",
		Long: `Stop following an application that is gone, without waiting for its expiry.

It takes the application out of Redis, and every replica forgets it at its next check. One that Argo CD still renders is followed again
from the next render on: to stop its updates, set hold.
An application is called as Argo CD calls it for plugins: NAME, or NAMESPACE_NAME outside of Argo CD's own namespace.`,
		Args: cobra.ExactArgs(1),
		RunE: f.run,
	}
	f.logs.register(cmd.Flags(), "error")
	f.redis.register(cmd.Flags())
	return cmd
}

func (f *forgetFlags) run(cmd *cobra.Command, args []string) error {
	log, err := f.logs.logger()
	if err != nil {
		return err
	}
	client, err := f.redis.open(log)
	if err != nil {
		return err
	}
	if client == nil {
		return errors.New("no Redis is named, and without one each process keeps its applications in memory: a restart forgets those that " +
			"Argo CD doesn't render any more; or set --redis")
	}
	defer client.Close()
	if err := client.Ping(cmd.Context()); err != nil {
		return fmt.Errorf("asking Redis: %w", err)
	}
	store := reconcile.NewShared(client.Records(applicationRecords, reconcile.DefaultExpiry, reconcile.MaxRecords), reconcile.DefaultExpiry, func() {})
	hints, err := store.Hints(cmd.Context())
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, h := range hints {
		names[h.App.Name] = true
	}
	if !names[args[0]] {
		return fmt.Errorf("%s is none of the %d applications that are followed", args[0], len(names))
	}
	if err := store.Forget(cmd.Context(), args[0]); err != nil {
		return fmt.Errorf("asking Redis: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is followed no more, unless it is rendered again\n", args[0])
	return nil
}
