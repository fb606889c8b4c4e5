package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/plugin/archive"
)

func newServe() *cobra.Command {
	var (
		files   engineFlags
		logs    logFlags
		options plugin.Options
	)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the plugin server beside argocd-repo-server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.logger()
			if err != nil {
				return err
			}
			engine, err := files.open(cmd.Flags(), "", log)
			if err != nil {
				return err
			}
			options.Generator, options.Log = engine.generator(log), log
			limits := engine.settings.Limits
			options.Limits = archive.Limits{TotalBytes: int64(limits.ArchiveBytes), FileBytes: int64(limits.FileBytes), Files: limits.ArchiveFiles}
			options.Concurrency = cmp.Or(options.Concurrency, limits.ConcurrentRenders)
			options.Deadline = cmp.Or(options.Deadline, limits.RenderTimeout)
			server, err := plugin.NewServer(options)
			if err != nil {
				return err
			}
			log.Infof("tagpin %s listens on %s", version, server.Address())
			return server.Serve(cmd.Context())
		},
	}
	flags := cmd.Flags()
	files.register(flags)
	logs.register(flags, "info")
	flags.StringVar(&options.ConfigDir, "config-dir", "/home/argocd/cmp-server/config", "the directory of plugin.yaml")
	flags.StringVar(&options.PluginsDir, "plugins-dir", "/home/argocd/cmp-server/plugins", "where argocd-repo-server looks for plugin sockets")
	flags.StringVar(&options.WorkDir, "work-dir", "", "where archives are unpacked; emptied at start (default: _tagpin in the temporary directory)")
	flags.IntVar(&options.Concurrency, "max-concurrent-renders", 0, "how many renders run at a time (default: the settings', or the number of cores)")
	flags.DurationVar(&options.Deadline, "render-timeout", 0, "how long one render may take, waiting included (default: the settings', or 45s)")
	return cmd
}
