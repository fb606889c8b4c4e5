package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
)

// Back turns an application that uses the plugin into one that argocd-image-updater looks after by annotations.
func Back(in Input) (Output, error) {
	docs, app, err := open(in)
	if err != nil {
		return Output{}, err
	}
	b := &back{in: in, app: app}
	if err := b.run(); err != nil {
		return Output{}, fmt.Errorf("%s: %w", app.label(), err)
	}
	return finish(docs, app, b.report, Output{Files: b.files, Steps: b.steps()})
}

// A back is one migration away from tagpin. Its methods fill it from top to bottom.
type back struct {
	in      Input
	app     *application
	report  report
	source  *source
	given   []given
	listed  []listed
	options image.Options
	// method is the write-back method of argocd-image-updater.
	method string
	// live is set when tagpin found the tags at each render, so that Git does not say what runs.
	live bool
	// frozen are the images that it cannot look after as tagpin does.
	frozen []bool
	// section is the helm or kustomize section of the source.
	section *yaml.Node
	files   []File
}

// A given is a parameter of the plugin, with the comments that it had. What plugin.env says is among them.
type given struct {
	parameter
	alias string
	def   image.Definition
}

func (b *back) run() error {
	if err := b.findSource(); err != nil {
		return err
	}
	for _, step := range []func() error{b.read, b.chooseMethod, b.freeze, b.restoreSection, b.restoreChoices} {
		if err := step(); err != nil {
			return err
		}
	}
	b.rewrite()
	return nil
}

func (b *back) findSource() error {
	candidates := []*yaml.Node{child(b.app.spec, "source")}
	if list := child(b.app.spec, "sources"); list != nil {
		candidates = list.Content
	}
	for _, n := range candidates {
		if name := text(at(n, "plugin", "name")); name == pluginPlain || name == pluginRepoCreds {
			b.source = &source{node: n, field: "spec.source", observed: ""}
			return nil
		}
	}
	return fmt.Errorf("none of its sources uses the plugin %s or %s", pluginPlain, pluginRepoCreds)
}

// read collects parameters and plugin.env, and reads them as the plugin does.
func (b *back) read() error {
	plugin, err := plain(child(b.source.node, "plugin"))
	if err != nil {
		return err
	}
	params, err := readParameters(child(plugin, "parameters"))
	if err != nil {
		return err
	}
	env := child(plugin, "env")
	if err := b.list(params, env); err != nil {
		return err
	}
	aliases := aliasesOf(b.listed)
	params = append(params, b.environment(env, params, aliases)...)
	if b.options, err = parseOptions(params, &b.report); err != nil {
		return err
	}
	var settings []setting
	for _, p := range params {
		alias, def, _ := definition(p.Name, aliases)
		b.given = append(b.given, given{parameter: p, alias: alias, def: def})
		settings = append(settings, setting{name: p.Name, value: joined(p)})
	}
	for _, g := range b.given {
		if kind, _, _ := strings.Cut(g.def.Name, "."); b.source.kind == "" && !g.def.PerImage && (kind == kindHelm || kind == kindKustomize) {
			b.source.kind = kind
		}
	}
	if b.source.kind == "" || b.in.SourceType != "" {
		b.source.kind, err = sourceKind(b.in, b.source, settings)
	}
	return err
}

func readParameters(list *yaml.Node) ([]parameter, error) {
	if list == nil {
		return nil, nil
	}
	var all []parameter
	for _, n := range list.Content {
		p := parameter{Parameter: image.Parameter{Name: strings.TrimPrefix(text(child(n, "name")), image.Prefix)}, head: n.HeadComment}
		if v := child(n, "string"); v != nil {
			s := v.Value
			p.String, p.line = &s, v.LineComment
		}
		if v := child(n, "array"); v != nil {
			p.Array = append([]string{}, texts(v)...)
		}
		if v := child(n, "map"); v != nil {
			p.Map = dictionary(v)
		}
		if p.Name == "" {
			return nil, fmt.Errorf("line %d: a parameter has no name", n.Line)
		}
		all = append(all, p)
	}
	return all, nil
}

// list reads the image-list, on which the names of all others depend.
func (b *back) list(params []parameter, env *yaml.Node) error {
	value := ""
	for _, p := range params {
		if p.Name == listName {
			if value = joined(p); slices.ContainsFunc(p.Array, func(s string) bool { return strings.Contains(s, ",") }) {
				return fmt.Errorf("%s: a constraint holds a comma, which argocd-image-updater takes for the next image: write the range with a space", listName)
			}
		}
	}
	if value == "" {
		value = environmentOf(env)[image.EnvName(listName)]
	}
	if value == "" {
		return errors.New("it has no image-list: there is nothing for argocd-image-updater to do")
	}
	var err error
	b.listed, err = parseListed(value)
	return err
}

func joined(p parameter) string {
	if p.String != nil {
		return *p.String
	}
	return strings.Join(p.Array, ",")
}

// environmentOf reads plugin.env, in which Argo CD takes $$ for a dollar sign.
func environmentOf(env *yaml.Node) map[string]string {
	all := map[string]string{}
	if env != nil {
		for _, e := range env.Content {
			all[text(child(e, "name"))] = strings.ReplaceAll(text(child(e, "value")), "$$", "$")
		}
	}
	return all
}

// environment turns entries of plugin.env into the parameters that they mean.
func (b *back) environment(env *yaml.Node, params []parameter, aliases []string) []parameter {
	var out []parameter
	values := environmentOf(env)
	take := func(name string, def image.Definition) {
		value := values[image.EnvName(name)]
		delete(values, image.EnvName(name))
		if value != "" && !slices.ContainsFunc(params, func(p parameter) bool { return p.Name == name }) {
			out = append(out, toParameter(name, value, def))
		}
	}
	for _, def := range image.Definitions() {
		if !def.AliasOnly {
			take(def.Name, def)
		}
		for _, a := range aliases {
			if def.PerImage {
				take(a+"."+def.Name, def)
			}
		}
	}
	for _, name := range sorted(values) {
		b.report.warn("plugin.env "+name, "it has no counterpart: sources of Helm and kustomize have no environment")
	}
	return out
}

// chooseMethod finds the method for the updater, which knows neither tagpin's default nor none.
func (b *back) chooseMethod() error {
	for _, g := range b.given {
		if g.def.Name == methodName {
			b.method = joined(g.parameter)
		}
	}
	b.live = b.method == methodNone
	switch {
	case b.in.WriteBackMethod != "":
		b.method = b.in.WriteBackMethod
	case b.method == "":
		return errors.New("it has no write-back-method, so the operator's default holds: say with --write-back-method which one argocd-image-updater shall have " +
			"(argocd, git or git:secret:<namespace>/<name>)")
	case b.method == methodNone:
		return errors.New("its write-back-method is none, which argocd-image-updater lacks: say with --write-back-method which one it shall have " +
			"(argocd, git or git:secret:<namespace>/<name>)")
	}
	if b.method == methodArgoCD && b.app.isSet() {
		return errors.New("with write-back-method argocd the choices would go to the applications that are generated, whose spec belongs to " +
			"the ApplicationSet: choose git or git:secret:<namespace>/<name>")
	}
	return nil
}

// freeze finds the images that the updater would treat otherwise. They are left out of its list, so that they stay as they are.
func (b *back) freeze() error {
	b.frozen = make([]bool, len(b.listed))
	for i, e := range b.options.Images {
		subject := "image " + b.listed[i].image.Name()
		switch p := e.Policy; {
		case e.Hold:
			b.frozen[i] = true
			b.report.warn(subject, "it is held, which argocd-image-updater cannot do: it is left out of image-list, and stays as it is")
		case p.Strategy == image.Numerical || p.Strategy == image.NewestPush:
			b.frozen[i] = true
			b.report.warn(subject, "argocd-image-updater lacks the strategy %s: it is left out of image-list, and stays as it is", p.Strategy)
		case p.ExtractTags != "":
			b.frozen[i] = true
			b.report.warn(subject, "argocd-image-updater lacks extract-tags: it is left out of image-list, and stays as it is")
		}
		if strings.Contains(e.Helm.Name+e.Helm.Tag+e.Helm.Spec, "[") && b.source.kind == kindHelm {
			b.report.warn(subject, "an index in a Helm parameter replaces the whole list of the chart by one with this entry; tagpin keeps the others")
		}
	}
	return nil
}

// rewrite puts the section and the annotations into the manifest.
func (b *back) rewrite() {
	n := b.source.node
	b.app.unfold(n)
	where := position(n, "plugin")
	remove(n, "plugin")
	insert(n, where, b.source.kind, b.section)
	if len(b.section.Content) == 0 {
		remove(n, b.source.kind)
	}
	annotations := child(b.app.meta, "annotations")
	if annotations == nil {
		annotations = mapping()
		if b.app.meta == nil {
			return
		}
		b.app.meta.Content = append(b.app.meta.Content, scalar("annotations"), annotations)
	}
	for _, a := range b.annotations() {
		key, value := scalar(image.Prefix+a.name), scalar(a.value)
		key.HeadComment, value.LineComment = a.head, a.line
		annotations.Content = append(annotations.Content, key, value)
	}
	if len(annotations.Content) == 0 {
		remove(b.app.meta, "annotations")
	}
	b.app.dropLive(&b.report)
}

// pinned matches the pins of a directory with the images, and gives both. An image whose name is a template is the one that
// is pinned under its alias.
func (b *back) pinned(dir Directory, name string) ([]*image.Pin, []image.Entry, error) {
	file, err := edit.ParsePins(name, dir.Files[name])
	if err != nil {
		return nil, nil, err
	}
	if slices.Contains(file.Sections, kindHelm) || slices.Contains(file.Sections, kindKustomize) {
		return nil, nil, errors.New("it has a section of argocd-image-updater already: remove it")
	}
	entries := slices.Clone(b.options.Images)
	for i := range entries {
		entries[i].Alias = b.listed[i].alias
		for _, pin := range file.Pins {
			img, err := image.ParseImage(pin.Image)
			if err == nil && hasTemplate(b.listed[i].rest) && pin.Alias == entries[i].Alias {
				entries[i].Image = img
			}
		}
	}
	per, _, err := edit.Match(file.Pins, entries, nil)
	return per, entries, err
}
