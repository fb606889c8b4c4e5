package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/plugin/archive"
	"github.com/tagpin/tagpin/render"
	"github.com/tagpin/tagpin/render/worker"
)

type serveFlags struct {
	files     engineFlags
	update    updateFlags
	watch     monitorFlags
	fetch     fetchFlags
	repoCreds bool
	loop      bool
	workers   bool
	memory    string
	results   string
	options   plugin.Options
}

func newServe() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the plugin server beside argocd-repo-server",
		Args:  cobra.NoArgs,
		RunE:  f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "info")
	f.files.redis.register(flags)
	f.update.register(flags)
	f.watch.register(flags)
	f.fetch.register(flags)
	flags.BoolVar(&f.loop, "update-loop", true, "pin newer tags of the rendered applications in Git; false where a tagpin update does, which learns of them by Redis")
	flags.StringVar(&f.options.ConfigDir, "config-dir", "/home/argocd/cmp-server/config", "the directory of plugin.yaml")
	flags.StringVar(&f.options.PluginsDir, "plugins-dir", "/home/argocd/cmp-server/plugins", "where argocd-repo-server looks for plugin sockets")
	flags.StringVar(&f.options.WorkDir, "work-dir", "", "where archives are unpacked; emptied at start (default: _tagpin in the temporary directory)")
	flags.BoolVar(&f.repoCreds, "repocreds", true, "serve a second plugin name, <name>-repocreds, to which Argo CD lends its credentials for write-back-method git")
	flags.StringVar(&f.options.AskPass, "askpass-socket", "", "the repo-server's askpass socket (default: ARGOCD_ASK_PASS_SOCK, or /tmp/reposerver-ask-pass.sock)")
	flags.BoolVar(&f.workers, "render-workers", true, "render in processes of their own, which are killed at the deadline and at --render-memory")
	flags.StringVar(&f.memory, "render-memory", "512Mi", "the most memory that a render worker may hold")
	flags.StringVar(&f.results, "render-cache", "64Mi", "how much of what renders gave is kept for when nothing that they read has changed; 0: nothing")
	flags.IntVar(&f.options.Concurrency, "max-concurrent-renders", 0, "how many renders run at a time (default: the settings', or the number of cores)")
	flags.DurationVar(&f.options.Deadline, "render-timeout", 0, "how long one render may take, waiting included (default: the settings', or 45s)")
	return cmd
}

func (f *serveFlags) run(cmd *cobra.Command, _ []string) error {
	engine, err := f.files.open(cmd.Flags(), "")
	if err != nil {
		return err
	}
	defer engine.close()
	beside, err := f.companion(cmd, engine)
	if err != nil {
		return err
	}
	defer beside.close()
	return f.serve(cmd, engine, beside)
}

// A companion works beside the renders with what they saw.
type companion interface {
	plugin.Observer
	// start works in the background until stop, which is called when nothing observes any more.
	start(ctx context.Context, e *engine) (stop func(), err error)
	// close comes last.
	close()
}

func (f *serveFlags) companion(cmd *cobra.Command, e *engine) (companion, error) {
	if !f.loop {
		if f.update.webhook != (webhookFlags{}) {
			return nil, errors.New("--webhook-addr: without --update-loop there is nobody to tell: give it to tagpin update")
		}
		return f.update.recorder(e)
	}
	return f.update.open(cmd.Context(), cmd.Flags(), e, nil)
}

// serve renders until the command is interrupted. What works beside the renders ends last.
func (f *serveFlags) serve(cmd *cobra.Command, e *engine, beside companion) error {
	if updater, ok := beside.(*updater); ok && f.repoCreds {
		f.options.Keeper = updater.writer
	}
	f.options.Concurrency = cmp.Or(f.options.Concurrency, e.settings.Limits.ConcurrentRenders, runtime.GOMAXPROCS(0))
	renderer, end, err := f.renderer(e)
	if err != nil {
		return err
	}
	defer end()
	renderer, err = f.fetch.before(renderer, e, f.update.git)
	if err != nil {
		return err
	}
	server, err := f.server(e, beside, renderer)
	if err != nil {
		return err
	}
	monitor, err := f.watch.open(cmd.Context(), e)
	if err != nil {
		return err
	}
	defer monitor.start(cmd.Context(), connects(server.Address()))()
	e.log.Infof("tagpin %s listens on %s", version, server.Address())
	if err := checkStatusSocket(f.update.socket, server.Address()); err != nil {
		return err
	}
	stop, err := beside.start(cmd.Context(), e)
	if err != nil {
		return err
	}
	defer stop()
	return server.Serve(cmd.Context())
}

// renderer is what renders until end, with the cache of results before it.
func (f *serveFlags) renderer(e *engine) (_ plugin.Renderer, end func(), _ error) {
	var kept config.Size
	if f.results != "0" {
		if err := kept.UnmarshalText([]byte(f.results)); err != nil {
			return nil, nil, fmt.Errorf("--render-cache: %w", err)
		}
	}
	if !f.workers {
		return render.NewResults(int(kept), plugin.RenderHere()).Render, func() {}, nil
	}
	pool, err := f.pool(e)
	if err != nil {
		return nil, nil, err
	}
	return render.NewResults(int(kept), pool.Render).Render, pool.Close, nil
}

func (f *serveFlags) pool(e *engine) (*worker.Pool, error) {
	var memory config.Size
	if err := memory.UnmarshalText([]byte(f.memory)); err != nil {
		return nil, fmt.Errorf("--render-memory: %w", err)
	}
	return worker.NewPool(worker.Options{Size: f.options.Concurrency, Memory: int64(memory), Log: e.log})
}

func (f *serveFlags) server(e *engine, observer plugin.Observer, renderer plugin.Renderer) (*plugin.Server, error) {
	limits, options := e.settings.Limits, f.options
	options.Generator, options.Log, options.Told = e.generator(observer, renderer), e.log, e.told
	options.Limits = archive.Limits{TotalBytes: int64(limits.ArchiveBytes), FileBytes: int64(limits.FileBytes), Files: limits.ArchiveFiles}
	options.Deadline = cmp.Or(options.Deadline, limits.RenderTimeout)
	server, err := plugin.NewServer(options)
	if err == nil {
		e.metrics.ReadLoad(server.Load)
	}
	return server, err
}
