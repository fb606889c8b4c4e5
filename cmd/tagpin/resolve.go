package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/image"
)

// resolveFlags are those of `argocd-image-updater test`, and what tagpin knows beyond.
type resolveFlags struct {
	files       engineFlags
	spec        image.PolicySpec
	constraint  string
	credentials string
	output      string
}

func newResolve() *cobra.Command {
	var f resolveFlags
	cmd := &cobra.Command{
		Use:   "resolve [ALIAS=]IMAGE[:CONSTRAINT]",
		Short: "Print which tag of an image is chosen, and why",
		Example: `  tagpin resolve registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server:^1
  tagpin resolve nginx --update-strategy newest-build --allow-tags 'regexp:^1\.' --output json`,
		Args: cobra.ExactArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "warn")
	flags.StringVar(&f.spec.Strategy, "update-strategy", string(image.SemVer), "semver, newest-build, alphabetical, digest, numerical or newest-push")
	flags.StringVar(&f.constraint, "semver-constraint", "", "the version constraint, when the image has none")
	flags.StringVar(&f.spec.AllowTags, "allow-tags", "", "any, or regexp:<RE2>")
	flags.StringArrayVar(&f.spec.IgnoreTags, "ignore-tags", nil, "a glob of tags to ignore; repeatable")
	flags.StringVar(&f.spec.ExtractTags, "extract-tags", "", "a template over the groups of --allow-tags: what is compared")
	flags.StringSliceVar(&f.spec.Platforms, "platforms", nil, "os/arch[/variant] that the image must offer")
	flags.StringVar(&f.spec.MinAge, "min-age", "", "how old a tag must be, e.g. 36h or 7d")
	flags.BoolVar(&f.spec.PinDigest, "pin-digest", false, "find the digest as well")
	flags.StringVar(&f.credentials, "credentials", "", "env:<VAR>, ext:<path>, secret:<ns>/<name>#<field> or pullsecret:<ns>/<name>")
	flags.StringVarP(&f.output, "output", "o", outputTable, "table or json")
	return cmd
}

func (f *resolveFlags) run(cmd *cobra.Command, args []string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	entry, err := f.entry(args[0])
	if err != nil {
		return err
	}
	engine, err := f.files.open(cmd.Flags(), f.credentials)
	if err != nil {
		return err
	}
	choice, err := engine.Resolve(cmd.Context(), image.Application{}, entry)
	if err != nil {
		err = fmt.Errorf("%s: %w", entry.Image.Name(), err)
	}
	if f.output == outputJSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), entry, choice, err), silent(err))
	}
	if err != nil {
		return err
	}
	return printTable(cmd.OutOrStdout(), choice)
}

// The values of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func checkOutput(format string) error {
	if format != outputTable && format != outputJSON {
		return fmt.Errorf("--output: %q is neither table nor json", format)
	}
	return nil
}

// silent keeps the exit status of an error that has been printed.
func silent(err error) error {
	if err == nil {
		return nil
	}
	return errSilent
}

func (f *resolveFlags) entry(arg string) (image.Entry, error) {
	listed, err := image.ParseEntry(arg)
	if err != nil {
		return image.Entry{}, err
	}
	f.spec.Constraint = listed.Image.Tag
	if f.constraint != "" {
		if listed.Image.Tag != "" && listed.Image.Tag != f.constraint {
			return image.Entry{}, fmt.Errorf("the image says %q and --semver-constraint %q: give one of them", listed.Image.Tag, f.constraint)
		}
		f.spec.Constraint = f.constraint
	}
	policy, err := image.NewPolicy(f.spec)
	if err != nil {
		return image.Entry{}, fmt.Errorf("--%w", err) // the flags bear the parameters' names
	}
	return image.Entry{Alias: listed.Alias, Image: listed.Image.WithTag(""), Policy: policy}, nil
}

// answer is the JSON form of a choice. Scripts rely on it: every key is always there.
type answer struct {
	Image      string            `json:"image"`
	Tag        *string           `json:"tag"`
	Digest     *string           `json:"digest"`
	Strategy   image.Strategy    `json:"strategy"`
	Constraint string            `json:"constraint"`
	Candidates int               `json:"candidates"`
	Rejected   []image.Rejection `json:"rejected"`
	Error      *string           `json:"error"`
}

func printJSON(w io.Writer, e image.Entry, c image.Choice, problem error) error {
	a := answer{
		Image:      e.Image.Name(),
		Tag:        orNull(c.Tag),
		Digest:     orNull(c.Digest),
		Strategy:   e.Policy.Strategy,
		Constraint: c.Constraint,
		Candidates: c.Candidates,
		Rejected:   append([]image.Rejection{}, c.Rejected...),
	}
	if problem != nil {
		a.Error = orNull(problem.Error())
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(a)
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// shownRejections keeps a table on one screen; --output json has them all.
const shownRejections = 20

func printTable(out io.Writer, c image.Choice) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, value)
		}
	}
	row("image", c.Image.Name())
	row("strategy", string(c.Strategy))
	row("constraint", c.Constraint)
	tag := c.Tag
	if tag == "" {
		tag = "none: no tag qualifies"
	}
	row("tag", tag)
	row("digest", c.Digest)
	row("runner-up", c.RunnerUp)
	row("candidates", fmt.Sprint(c.Candidates))
	if c.Stale > 0 {
		row("stale", fmt.Sprintf("the registry could not be asked; this rests on an answer %s old", c.Stale.Round(1e9)))
	}
	for i, r := range c.Rejected {
		key := ""
		if i == 0 {
			key = "rejected"
		}
		if i == shownRejections {
			fmt.Fprintf(w, "\tand %d more: --output json names them all\n", len(c.Rejected)-i)
			break
		}
		fmt.Fprintf(w, "%s\t%s: %s\n", key, r.Tag, r.Reason)
	}
	return w.Flush()
}
