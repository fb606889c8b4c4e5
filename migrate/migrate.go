// Package migrate turns manifests for argocd-image-updater into manifests for tagpin, and back: call Forward or Back. Both are
// functions of text and return text, a report and the order of steps in which nothing older than what runs is ever deployed.
//
// The order matters because Argo CD merges the same file, .argocd-source-<app>.yaml, into both kinds of application: its helm
// and kustomize sections hold what the updater chose, and break an application whose source is a plugin; its section pins holds
// what tagpin chose, and means nothing to Argo CD. So the new section is committed beside the old one, then the application is
// switched, then the old section goes. In between Argo CD has an error to show and nothing to deploy.
package migrate

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// An Input is what there is before the migration.
type Input struct {
	// Manifest is YAML with one Application or ApplicationSet. Other documents in it are kept as they are.
	Manifest []byte
	// Name chooses among several Applications and ApplicationSets by metadata.name; empty where there is one.
	Name string
	// Updater is YAML with ImageUpdater resources (argocd-image-updater from v1 on), or empty. Those in Manifest count too.
	Updater []byte
	// Directories are the source directories of the application, from a checkout of the branch that it follows. An
	// ApplicationSet may have any number of them, an Application one at most.
	Directories []Directory
	// WriteBackMethod replaces that of the manifest; empty keeps it.
	WriteBackMethod string
	// SourceType is "helm" or "kustomize", where nothing in the manifest or the directory tells; empty otherwise.
	SourceType string
}

// A Directory is what a checkout holds in the directory of a source, without its subdirectories.
type Directory struct {
	// Path is how people find it; it is used in steps only.
	Path string
	// Files are the names of the files, with the content of those that IsOverride is true for.
	Files map[string][]byte
}

// IsOverride says whether the content of a file counts, beside its name.
func IsOverride(name string) bool {
	return strings.HasPrefix(name, overrideStem) && strings.HasSuffix(name, ".yaml")
}

// An Output is what there should be after the migration.
type Output struct {
	// Manifest is that of the input with the application rewritten. Warnings stand in it as comments.
	Manifest []byte
	// Files are those of the repository that change, in the order of their paths.
	Files []File
	// Steps are to be done one after another. Each is a text of one or more lines.
	Steps []string
	Notes []Note
}

// A File is changed twice: once before the application is switched, and once after.
type File struct {
	Path string
	// Before has the new section beside the old one. Nil: nothing changes before the switch.
	Before []byte
	// After has the new section only. Nil: the file is deleted.
	After []byte
}

// A Note is something to know about one setting.
type Note struct {
	// Warning is set when the setting has no counterpart, or a person has to decide something. Other notes tell what was
	// written out or left out without changing anything.
	Warning bool
	// Subject is the annotation, field or file.
	Subject string
	Text    string
}

func (n Note) String() string { return n.Subject + ": " + n.Text }

// Warnings are the notes that are warnings.
func (o Output) Warnings() []Note {
	return slices.DeleteFunc(slices.Clone(o.Notes), func(n Note) bool { return !n.Warning })
}

// report collects notes. The same one is told once.
type report struct{ notes []Note }

func (r *report) add(n Note) {
	if !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

func (r *report) warn(subject, format string, args ...any) {
	r.add(Note{Warning: true, Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (r *report) tell(subject, format string, args ...any) {
	r.add(Note{Subject: subject, Text: fmt.Sprintf(format, args...)})
}

// Forward turns an application that argocd-image-updater looks after into one that uses the plugin.
func Forward(in Input) (Output, error) {
	docs, app, err := open(in)
	if err != nil {
		return Output{}, err
	}
	f := &forward{in: in, app: app}
	if err := f.run(); err != nil {
		return Output{}, fmt.Errorf("%s: %w", app.label(), err)
	}
	return finish(docs, app, f.report, Output{Files: f.files, Steps: f.steps()})
}

// A forward is one migration to tagpin. Its methods fill it from top to bottom.
type forward struct {
	in     Input
	app    *application
	report report
	// updater is what argocd-image-updater was told.
	updater updater
	source  *source
	// method is the write-back method, target the write-back target.
	method, target string
	listed         []listed
	params         []parameter
	options        image.Options
	// block is the source's helm or kustomize section as Argo CD sees it, less what has become pins.
	block *yaml.Node
	files []File
	// stays is set when a file in the repository makes Argo CD refuse the plugin until it is changed.
	stays bool
	// shared is a file for all applications of the directory that does so.
	shared string
}

func (f *forward) run() error {
	var err error
	if f.updater, err = readUpdater(f.in, f.app, &f.report); err != nil {
		return err
	}
	if f.source, err = chooseSource(f.app, &f.report); err != nil {
		return err
	}
	if plugin := child(f.source.node, "plugin"); plugin != nil {
		return fmt.Errorf("the source uses the plugin %q already: argocd-image-updater's plugin targets have no counterpart, since "+
			"tagpin renders by itself: give the source a helm or kustomize section", text(child(plugin, "name")))
	}
	if f.source.kind, err = sourceKind(f.in, f.source, f.updater.settings); err != nil {
		return err
	}
	for _, step := range []func() error{f.settings, f.check, f.platforms, f.overrides, f.fields, f.safety, f.check} {
		if err := step(); err != nil {
			return err
		}
	}
	f.rewrite()
	return nil
}

// rewrite puts the plugin into the manifest, and takes out what only the updater reads.
func (f *forward) rewrite() {
	n := f.source.node
	f.app.unfold(n)
	plugin := mapping("name", scalar(pluginName(f.method)), "parameters", parameterNodes(f.params))
	at := min(position(n, "helm"), position(n, "kustomize"))
	remove(n, "helm")
	remove(n, "kustomize")
	insert(n, at, "plugin", plugin)
	f.app.dropAnnotations()
	f.app.dropLive(&f.report)
	f.leftovers()
}

// leftovers looks for the updater's annotations where they are not read as such, as in an ApplicationSet's generators.
func (f *forward) leftovers() {
	walk(f.app.doc, func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, image.Prefix) {
			f.report.warn(fmt.Sprintf("line %d", n.Line), "it speaks of %s… outside of the annotations: see to it by hand", image.Prefix)
		}
	})
}

// The names of the plugin: the second one gets Argo CD's own credentials for the repository.
const (
	pluginPlain     = "tagpin"
	pluginRepoCreds = "tagpin-repocreds" //nolint:gosec // the name of a plugin
)

func pluginName(method string) string {
	if method == "git" || method == "git:repocreds" {
		return pluginRepoCreds
	}
	return pluginPlain
}
