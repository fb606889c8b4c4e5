package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/redis"
)

// generateFlags choose what is rendered.
type generateFlags struct {
	files       engineFlags
	git         gitFlags
	fetch       fetchFlags
	app         string
	application plugin.ApplicationOptions
}

func newGenerate() *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:   "generate [DIR]",
		Short: "Print the manifests that Argo CD would get",
		Long: `Print the manifests that Argo CD would get.

With --app, DIR is the root of a checkout and the application's path lies below it. Without --app, the environment of a stock
argocd-cmp-server says what to render, and DIR is the application's directory.`,
		Args: cobra.MaximumNArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "warn")
	f.files.redis.register(flags)
	f.git.register(flags)
	f.fetch.register(flags)
	flags.StringVar(&f.app, "app", "", "an Application manifest; - is standard input")
	flags.StringVar(&f.application.Source, "source", "", "the name of the source, where the Application has several that use tagpin")
	flags.StringVar(&f.application.Revision, "revision", "", "what ARGOCD_APP_REVISION would say")
	flags.StringVar(&f.application.KubeVersion, "kube-version", "", "the cluster's version, e.g. 1.33")
	flags.StringSliceVar(&f.application.APIVersions, "api-versions", nil, "the cluster's API versions, e.g. apps/v1/Deployment")
	return cmd
}

func (f *generateFlags) run(cmd *cobra.Command, args []string) error {
	engine, err := f.files.open(cmd.Flags(), "")
	if err != nil {
		return err
	}
	defer engine.close()
	dir, request, err := f.request(cmd, args)
	if err != nil {
		return err
	}
	note := &notebook{}
	if f.app == "" {
		if err := refuseWriteBack(engine, request); err != nil {
			return err
		}
		note.shared = engine.share(expiryFlag(reconcile.DefaultExpiry))
	}
	renderer, err := f.fetch.before(plugin.RenderHere(), engine, f.git)
	if err != nil {
		return err
	}
	result, err := engine.generator(note, renderer).Generate(cmd.Context(), dir, request)
	note.send(cmd.Context(), engine)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(result.Stream)
	return err
}

// refuseWriteBack tells that nobody would pin: a stock argocd-cmp-server starts a process for each render, which ends with it,
// so that an update loop learns of the application by Redis or not at all. Options that can't be parsed are Generate's to tell.
func refuseWriteBack(e *engine, r plugin.Request) error {
	o, err := image.ParseOptions(image.Input{Parameters: r.Parameters, Env: r.Env, Defaults: e.defaults()})
	if err != nil || o.WriteBack.Method == "none" || e.redis != nil {
		return nil //nolint:nilerr // Generate parses them again
	}
	return fmt.Errorf("application %s: write-back-method %s has no effect behind argocd-cmp-server, where no update loop learns of the "+
		"application: give the container Argo CD's Redis (REDIS_SERVER, REDIS_PASSWORD) and run `tagpin update` beside it, or run `tagpin serve` as "+
		"the sidecar, or set write-back-method: none; `tagpin update --app` pins from manifests for CI", r.App.Name, o.WriteBack.Method)
}

// tellTimeout bounds what a render's process waits for Redis, after the render.
const tellTimeout = 3 * time.Second

// A notebook keeps what one render saw, to tell an update loop elsewhere before the process ends.
type notebook struct {
	shared *sharing
	seen   []reconcile.Hint
}

// Observe implements plugin.Observer.
func (n *notebook) Observe(o plugin.Observation) { n.seen = append(n.seen, hintOf(o)) }

// send tries until it is told or the time is over. The manifests are right all the same.
func (n *notebook) send(ctx context.Context, e *engine) {
	if n.shared == nil || len(n.seen) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	for i := range n.seen {
		n.seen[i].Seen = time.Now()
	}
	err := n.shared.store.Add(ctx, n.seen...)
	for n.shared.store.Unwritten() > 0 && ctx.Err() == nil {
		time.Sleep(tellTimeout / 10)
		n.shared.store.Sync(ctx)
	}
	if n.shared.store.Unwritten() > 0 {
		err = errors.New("Redis can't be reached") //nolint:staticcheck // a name begins it
	}
	if err != nil {
		e.log.WithField("application", n.seen[0].App.Name).WithError(err).Error("the update loop doesn't learn of this render")
		return
	}
	e.redis.Notify(ctx, redis.Notice{Kind: noticeSeen})
}

// request says what to render: an Application below DIR, or what Argo CD's environment names at DIR.
func (f *generateFlags) request(cmd *cobra.Command, args []string) (plugin.Dir, plugin.Request, error) {
	at, err := filepath.Abs(append(args, ".")[0])
	if err != nil {
		return plugin.Dir{}, plugin.Request{}, err
	}
	if f.app == "" {
		request, err := plugin.ParseEnviron(os.Environ())
		return plugin.FindRoot(at, request.App.Path), request, err
	}
	manifest, err := readInput(cmd, f.app)
	if err != nil {
		return plugin.Dir{}, plugin.Request{}, err
	}
	dir, request, err := plugin.LoadApplication(manifest, at, f.application)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.app, err)
	}
	return dir, request, err
}

func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no Application manifest at %s", path)
	}
	return data, err
}
