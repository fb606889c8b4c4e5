package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/writeback"
)

type pinFlags struct {
	files  engineFlags
	app    string
	source string
	images []string
}

func newPin() *cobra.Command {
	var f pinFlags
	cmd := &cobra.Command{
		Use:   "pin [DIR] --app FILE",
		Short: "Write the newest allowed tags into a checkout, without committing",
		Long: `Write the newest allowed tags into a checkout, without committing.

DIR is the root of the checkout. The file and the bytes that change are those that the update loop would commit, and like it
this never goes back by itself; with --image any tag is pinned, an older one as well.`,
		Example: `  tagpin pin gitops-demo --app application.yaml
  tagpin pin gitops-demo --app application.yaml --image echoserver=v1.0`,
		Args: cobra.MaximumNArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "warn")
	flags.StringVar(&f.app, "app", "", "an Application manifest; - is standard input")
	flags.StringVar(&f.source, "source", "", "the name of the source, where the Application has several that use tagpin")
	flags.StringArrayVar(&f.images, "image", nil, "ALIAS=TAG: pin this tag, and change no other image; the registry is not asked; repeatable")
	return cmd
}

func (f *pinFlags) run(cmd *cobra.Command, args []string) error {
	engine, err := f.files.open(cmd.Flags(), "")
	if err != nil {
		return err
	}
	dir, update, err := f.load(cmd, engine, args)
	if err != nil {
		return err
	}
	if err := f.pin(cmd.Context(), cmd.OutOrStdout(), checkout{dir, engine}, update); err != nil {
		return fmt.Errorf("application %s: %w", update.App.Name, err)
	}
	return nil
}

// load reads the Application and its parameters.
func (f *pinFlags) load(cmd *cobra.Command, e *engine, args []string) (plugin.Dir, image.Update, error) {
	var update image.Update
	if f.app == "" {
		return plugin.Dir{}, update, fmt.Errorf("--app is missing: name the Application's manifest")
	}
	at, err := filepath.Abs(append(args, ".")[0])
	if err != nil {
		return plugin.Dir{}, update, err
	}
	manifest, err := readInput(cmd, f.app)
	if err != nil {
		return plugin.Dir{}, update, err
	}
	dir, request, err := plugin.LoadApplication(manifest, at, plugin.ApplicationOptions{Source: f.source})
	if err != nil {
		return dir, update, fmt.Errorf("%s: %w", f.app, err)
	}
	update.App = request.App
	update.Options, err = image.ParseOptions(image.Input{Parameters: request.Parameters, Env: request.Env, Defaults: e.defaults()})
	if err != nil {
		return dir, update, fmt.Errorf("application %s: %w", request.App.Name, err)
	}
	return dir, update, nil
}

// A checkout is what is changed and who decides.
type checkout struct {
	dir    plugin.Dir
	engine *engine
}

func (f *pinFlags) pin(ctx context.Context, out io.Writer, c checkout, u image.Update) error {
	if u.Options.WriteBack.Method == "none" {
		return fmt.Errorf("with write-back-method none no pin is read: set it to git:secret:<namespace>/<name> to use pins")
	}
	root, err := os.OpenRoot(c.dir.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	if info, err := root.Stat(c.dir.Path); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s in %s: name the root of a checkout", c.dir.Path, c.dir.Root)
	}
	writer, err := writeback.New(writeback.Options{Settings: c.engine.settings, Same: c.engine.registries.SameImage})
	if err != nil {
		return err
	}
	recorded, err := writer.ReadCheckout(root, u)
	if err != nil {
		return err
	}
	proposals, err := f.propose(ctx, c.engine, u, recorded.Pins)
	if err != nil {
		return err
	}
	commit := image.Commit{Update: u}
	for _, p := range proposals {
		if p.Change != nil {
			commit.Changes = append(commit.Changes, *p.Change)
		}
	}
	name := ""
	if len(commit.Changes) > 0 {
		if name, err = writer.EditCheckout(root, commit); err != nil {
			return err
		}
	}
	printProposals(out, name, proposals)
	return nil
}

// propose takes the tags of --image, or asks the registry.
func (f *pinFlags) propose(ctx context.Context, e *engine, u image.Update, pins []*image.Pin) ([]reconcile.Proposal, error) {
	if len(f.images) == 0 {
		return reconcile.Propose(ctx, updateResolver{e, e}, u, pins)
	}
	proposals := make([]reconcile.Proposal, len(f.images))
	for i, wanted := range f.images {
		change, err := byHand(wanted, u)
		if err != nil {
			return nil, fmt.Errorf("--image %s: %w", wanted, err)
		}
		p := reconcile.Proposal{Choice: image.Choice{Image: u.Options.Images[change.Index].Image, Tag: change.To.Tag}}
		if pin := pins[change.Index]; pin != nil {
			change.From = *pin
		}
		if change.From.Tag != change.To.Tag {
			p.Change = &change
		}
		proposals[i] = p
	}
	return proposals, nil
}

// byHand is the change that ALIAS=TAG asks for.
func byHand(wanted string, u image.Update) (image.Change, error) {
	alias, tag, ok := strings.Cut(wanted, "=")
	if !ok {
		return image.Change{}, fmt.Errorf("write ALIAS=TAG")
	}
	if err := image.ValidTag(tag); err != nil {
		return image.Change{}, err
	}
	names := make([]string, len(u.Options.Images))
	for i, e := range u.Options.Images {
		if names[i] = e.Alias; e.Alias == "" {
			names[i] = e.Image.Name()
		}
	}
	i := slices.Index(names, alias)
	if i < 0 {
		return image.Change{}, fmt.Errorf("the application has no such image; it has %s", strings.Join(names, ", "))
	}
	e := u.Options.Images[i]
	return image.Change{App: u.App, Index: i, To: image.Pin{Alias: e.Alias, Image: e.Image.Name(), Tag: tag}}, nil
}

// printProposals prints a line for each image.
func printProposals(out io.Writer, file string, proposals []reconcile.Proposal) {
	for _, p := range proposals {
		name := p.Choice.Image.Name()
		switch {
		case p.Change != nil && p.Change.From.Tag == "":
			fmt.Fprintf(out, "%s: pinned to %s in %s\n", name, p.Change.To.Tag, file)
		case p.Change != nil:
			fmt.Fprintf(out, "%s: %s -> %s in %s\n", name, p.Change.From.Tag, p.Change.To.Tag, file)
		case p.Reason != "":
			fmt.Fprintf(out, "%s: nothing to do: %s\n", name, p.Reason)
		default:
			fmt.Fprintf(out, "%s: nothing to do: %s is pinned\n", name, p.Choice.Tag)
		}
	}
}
