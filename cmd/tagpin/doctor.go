package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/webhook"
	"github.com/tagpin/tagpin/writeback"
)

type doctorFlags struct {
	files                engineFlags
	apps                 []string
	knownHosts, tlsCerts string
	output               string
}

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor --app PATH",
		Short: "Check step by step whether Applications can be kept up to date, and say what to change",
		Long: `Check step by step whether Applications can be kept up to date, and say what to change.

It goes the way that tagpin serve and tagpin update go, with the same files: from the settings over each image's registry (its
name, TLS, its challenge, the login, the list of tags, one manifest) to Git (the binding, the branch, and the beginning of a
push that sends nothing). Nothing is changed anywhere, and no secret is printed. The exit status is 1 if a step failed.`,
		Example: `  tagpin doctor --app application.yaml --settings tagpin.yaml`,
		Args:    cobra.NoArgs,
		RunE:    f.run,
	}
	flags := cmd.Flags()
	f.files.register(flags, "error")
	flags.StringArrayVar(&f.apps, "app", nil, "an Application manifest, or a directory of them; repeatable")
	flags.StringVar(&f.knownHosts, "ssh-known-hosts", defaultKnownHosts, "the host keys of SSH servers: argocd-ssh-known-hosts-cm")
	flags.StringVar(&f.tlsCerts, "tls-certs-dir", defaultTLSCerts, "a directory with the CA of each Git server that needs one: argocd-tls-certs-cm")
	flags.StringVarP(&f.output, "output", "o", outputTable, "table or json")
	return cmd
}

func (f *doctorFlags) run(cmd *cobra.Command, _ []string) error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	if len(f.apps) == 0 {
		return fmt.Errorf("--app is missing: name the manifest of an Application that calls the plugin %s", pluginName)
	}
	x := &examination{Steps: []examined{}}
	if err := f.examine(cmd, x); err != nil {
		return err
	}
	if err := x.print(cmd.OutOrStdout(), f.output); err != nil {
		return err
	}
	if x.failed() {
		return errSilent // the table says it all
	}
	return nil
}

// examine fails only where there is nothing to report on.
func (f *doctorFlags) examine(cmd *cobra.Command, x *examination) error {
	engine, err := f.files.open(cmd.Flags(), "")
	if !x.note("settings", "", "the operator's files are valid", err) {
		return nil
	}
	if err := engine.registries.ConfProblem(); err != nil {
		x.note("settings", "", "", err)
	}
	if keys := engine.webhookKeys(); len(keys) > 0 {
		_, err := webhook.New(webhook.Options{Keys: keys, Log: engine.log})
		x.note("webhooks", "", fmt.Sprintf("secrets: %d", len(keys)), err)
	}
	cache, err := os.MkdirTemp("", "tagpin-doctor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	writer, err := writeback.New(writeback.Options{
		CacheDir: cache, Settings: engine.settings, Secrets: engine.secrets, KnownHosts: f.knownHosts, CADir: f.tlsCerts,
	})
	if err != nil {
		return err
	}
	hints, err := manifests{f.apps, engine.log}.read()
	if err == nil && len(hints) == 0 {
		err = fmt.Errorf("no Application in there calls the plugin %s (spec.source.plugin.name)", pluginName)
	}
	x.note("manifests", strings.Join(f.apps, ", "), fmt.Sprintf("sources that call the plugin: %d", len(hints)), err)
	d := doctor{engine: engine, writer: writer, examination: x}
	for _, h := range hints {
		d.application(cmd.Context(), h)
	}
	return nil
}

// What becomes of a step.
const (
	stepOK      = "ok"
	stepFailed  = "failed"
	stepSkipped = "skipped"
)

// An examined is a step. Scripts rely on its keys.
type examined struct {
	Application string `json:"application,omitempty"`
	Step        string `json:"step"`
	// About is a host, a repository or a file.
	About string `json:"about,omitempty"`
	State string `json:"state"`
	// Detail is what was found, or what is wrong and what to change.
	Detail string `json:"detail,omitempty"`
	// Proposal is something to add to a file of the operator's, of one or several lines.
	Proposal string `json:"proposal,omitempty"`
}

// An examination is what a doctor found so far.
type examination struct {
	app   string
	Steps []examined `json:"steps"`
}

func (x *examination) add(s examined) *examined {
	s.Application = x.app
	x.Steps = append(x.Steps, s)
	return &x.Steps[len(x.Steps)-1]
}

// note adds a step and says whether it went well.
func (x *examination) note(step, about, found string, err error) bool {
	s := x.add(examined{Step: step, About: about, State: stepOK, Detail: found})
	if err != nil {
		s.State, s.Detail = stepFailed, err.Error()
	}
	return err == nil
}

func (x *examination) skip(about, why string, steps ...string) {
	for _, step := range steps {
		x.add(examined{Step: step, About: about, State: stepSkipped, Detail: why})
	}
}

func (x *examination) failed() bool {
	for _, s := range x.Steps {
		if s.State == stepFailed {
			return true
		}
	}
	return false
}

// print writes a row for each step. What takes several lines follows the table.
func (x *examination) print(out io.Writer, format string) error {
	if format == outputJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(x)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATE\tAPPLICATION\tSTEP\tABOUT\tDETAIL")
	for _, s := range x.Steps {
		first, _, _ := strings.Cut(s.Detail, "\n")
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.State, orDash(s.Application), s.Step, orDash(s.About), first)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range x.Steps {
		if strings.Contains(s.Detail, "\n") {
			fmt.Fprintf(out, "\n%s of %s: %s\n", s.Step, s.About, strings.TrimRight(s.Detail, "\n"))
		}
		if s.Proposal != "" {
			fmt.Fprintf(out, "\n%s of %s: %s\n", s.Step, s.About, strings.TrimRight(s.Proposal, "\n"))
		}
	}
	return nil
}
