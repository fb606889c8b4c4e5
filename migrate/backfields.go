package migrate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// upstreamLacks are the parameters that have no annotation.
var upstreamLacks = map[string]string{
	"min-age":    "a tag is taken as soon as it is there",
	"pin-digest": "only update-strategy digest writes digests",
}

// annotations are the settings of the images and of write-back, in the order of the parameters.
func (b *back) annotations() []setting {
	list := b.names()
	if len(list) == 0 {
		b.report.warn(listName, "no image is left that argocd-image-updater could look after, so there are no annotations")
		return nil
	}
	out := []setting{{name: listName, value: strings.Join(list, ", ")}}
	for _, g := range b.given {
		if g.def.Name == listName {
			out[0].head, out[0].line = g.head, g.line
		}
	}
	for _, g := range b.given {
		if g.def.Name == platformsName && g.alias == "" {
			out = append(out, b.platforms(g)...)
			continue
		}
		if s, ok := b.annotation(g); ok {
			out = append(out, s)
		}
	}
	if b.source.kind == kindHelm {
		out = append(out, b.targets()...)
	}
	return append(out, setting{name: methodName, value: b.method})
}

// names are the entries of the image-list that is left.
func (b *back) names() []string {
	if b.source.kind == kindHelm {
		for _, alias := range nameImages(b.listed) {
			b.report.tell(listName, "the alias %s is new: argocd-image-updater needs it to find the Helm parameters", alias)
		}
	}
	var list []string
	for i, l := range b.listed {
		if !b.frozen[i] {
			list = append(list, l.String())
		}
	}
	return list
}

func (b *back) annotation(g given) (setting, bool) {
	s := setting{name: g.Name, value: joined(g.parameter), head: g.head, line: g.line}
	lacks, unknown := upstreamLacks[g.def.Name]
	switch {
	case b.elsewhere(g), g.def.Name == branchName && b.method == methodArgoCD:
		return s, false
	case unknown:
		if s.value != "false" {
			b.report.warn("parameter "+g.Name, "it has no counterpart: %s", lacks)
		}
		return s, false
	}
	if g.alias != "" {
		s.name = annotationAlias(g.alias) + strings.TrimPrefix(strings.TrimPrefix(g.Name, g.alias), annotationAlias(g.alias))
	}
	return s, true
}

// platforms repeats what holds for all images for each of them, since argocd-image-updater reads it with an alias only.
func (b *back) platforms(all given) []setting {
	var out []setting
	for i, l := range b.listed {
		own := slices.ContainsFunc(b.given, func(g given) bool { return g.def.Name == platformsName && g.alias == l.alias && l.alias != "" })
		switch {
		case own || b.frozen[i]:
		case l.alias == "":
			b.report.warn("parameter "+all.Name, "argocd-image-updater reads it with an alias only, which %s lacks: it takes its own platform", l.rest)
		default:
			out = append(out, setting{name: annotationAlias(l.alias) + "." + platformsName, value: joined(all.parameter)})
		}
	}
	return out
}

// elsewhere says whether a parameter is in the list or in the section, is told about elsewhere, or concerns an image that is
// left out.
func (b *back) elsewhere(g given) bool {
	switch prefix, _, _ := strings.Cut(g.def.Name, "."); {
	case slices.Contains([]string{listName, methodName, withoutPinName, "hold", "extract-tags"}, g.def.Name):
		return true
	case g.alias == "":
		return prefix == kindHelm || prefix == kindKustomize
	}
	i := slices.IndexFunc(b.listed, func(l listed) bool { return l.alias == g.alias })
	return i >= 0 && b.frozen[i]
}

// targets writes out tagpin's defaults for the Helm values, where argocd-image-updater has others.
func (b *back) targets() []setting {
	var out []setting
	for i, e := range b.options.Images {
		if b.frozen[i] {
			continue
		}
		alias := annotationAlias(b.listed[i].alias)
		set := func(name string) bool {
			return slices.ContainsFunc(b.given, func(g given) bool {
				return g.alias != "" && g.alias == b.listed[i].alias && g.def.Name == name
			})
		}
		switch {
		case set(helmSpec):
		case !set(helmName) && !set(helmTag):
			out = append(out, setting{name: alias + "." + helmName, value: e.Helm.Name}, setting{name: alias + "." + helmTag, value: e.Helm.Tag})
		case !set(helmName):
			b.report.warn(alias+"."+helmName, "argocd-image-updater will also set its default %s", upstreamName)
		case !set(helmTag):
			b.report.warn(alias+"."+helmTag, "argocd-image-updater will also set its default %s", upstreamTag)
		}
	}
	return out
}

// restoreSection makes the helm or kustomize section out of the parameters for rendering.
func (b *back) restoreSection() error {
	b.section = mapping()
	forced := b.options.Helm.ForceString
	for _, g := range b.given {
		kind, field, _ := strings.Cut(g.def.Name, ".")
		switch {
		case g.alias != "" || g.def.PerImage || kind != kindHelm && kind != kindKustomize || g.def.Name == "helm.forceString":
			continue
		case kind != b.source.kind:
			b.report.warn("parameter "+g.Name, "it is left out: the source is rendered with %s", b.source.kind)
			continue
		}
		v, err := fieldNode(g, forced)
		if err != nil {
			return fmt.Errorf("parameter %s: %w", g.Name, err)
		}
		key := scalar(field)
		key.HeadComment, v.LineComment = g.head, g.line
		b.section.Content = append(b.section.Content, key, v)
	}
	return nil
}

func fieldNode(g given, forced []string) (*yaml.Node, error) {
	value := joined(g.parameter)
	switch {
	case g.def.Name == "helm.parameters":
		return helmList(g.Map, forced, "forceString"), nil
	case g.def.Name == fileParameters || g.def.Name == replicas:
		return listNode(g), nil
	case g.def.Name == "helm.valuesObject" || g.def.Name == "kustomize.patches":
		document, err := parse([]byte(value))
		if err != nil || document == nil {
			return mapping(), err
		}
		return document.Content[0], nil
	case g.def.Kind == image.MapKind:
		return dict(g.Map), nil
	case g.def.Kind == image.ArrayKind:
		return sequence(g.Array), nil
	case g.def.Boolean && !hasTemplate(value):
		return literal("!!bool", value), nil
	}
	return scalar(value), nil
}

// listNode writes a map as the list that Argo CD has in its place.
func listNode(g given) *yaml.Node {
	list := sequence(nil)
	for _, k := range sorted(g.Map) {
		v := scalar(g.Map[k])
		if g.def.Name == replicas && !hasTemplate(v.Value) {
			v = literal("!!int", v.Value)
		}
		list.Content = append(list.Content, mapping("name", scalar(k), valueKey(g.def.Name), v))
	}
	return list
}

// helmList writes Helm parameters as Argo CD has them; force is the spelling of the last key.
func helmList(values map[string]string, forced []string, force string) *yaml.Node {
	list := sequence(nil)
	for _, name := range sorted(values) {
		p := mapping("name", scalar(name), "value", scalar(values[name]))
		if slices.Contains(forced, name) {
			p.Content = append(p.Content, scalar(force), literal("!!bool", "true"))
		}
		list.Content = append(list.Content, p)
	}
	return list
}

// restoreChoices writes what is pinned as argocd-image-updater does: into its file, or into the Application.
func (b *back) restoreChoices() error {
	if b.options.WriteBack.Target != "" {
		return nil // the file that holds the choices is the same
	}
	if len(b.in.Directories) == 0 {
		return fmt.Errorf("what runs is pinned in %s: give the source directory in a checkout (--source-dir), or an older tag would be rendered",
			overrideName(instanceNames(b.app)[0]))
	}
	if b.app.isSet() {
		return b.choicesOfSet()
	}
	dir := b.in.Directories[0]
	names := instanceNames(b.app)
	name := overrideName(names[0])
	if _, there := dir.Files[name]; !there && len(names) > 1 {
		name = overrideName(names[1])
	}
	switch _, there := dir.Files[name]; {
	case !there && b.live:
		return fmt.Errorf("%s has no file %s, so what runs is known to nobody here: write the pins with tagpin pin first", dir.Path, name)
	case !there:
		b.report.tell(path.Join(dir.Path, name), "there is none: nothing has been pinned, and the tags are those that the source says")
		return nil
	}
	return b.choices(dir, name)
}

func (b *back) choicesOfSet() error {
	return b.app.eachOverride(b.in.Directories, func(dir Directory, name string) error {
		if name == overrideAll {
			return nil
		}
		return b.choices(dir, name)
	})
}

// choices converts one pin file.
func (b *back) choices(dir Directory, name string) error {
	where := path.Join(dir.Path, name)
	per, entries, err := b.pinned(dir, name)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	section := b.chosen(per, entries)
	out := File{Path: where}
	if out.After, err = without(dir.Files[name], "pins"); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	switch {
	case len(section.Content) == 0:
	case b.method == methodArgoCD:
		b.intoApplication(section)
	default:
		if out.Before, err = appended(dir.Files[name], b.source.kind, section); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		if out.After, err = appended(out.After, b.source.kind, section); err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
	}
	b.files = append(b.files, out)
	return nil
}

// intoApplication puts the choices into the manifest. The list that is made holds what the section had, too.
func (b *back) intoApplication(made *yaml.Node) {
	field, _ := listField(b.source.kind)
	remove(b.section, field)
	b.section.Content = append(b.section.Content, made.Content...)
	if list := child(b.section, field); list != nil && b.source.kind == kindHelm {
		for _, p := range list.Content {
			for k := range pairs(p) {
				if k.Value == "forcestring" {
					k.Value = "forceString"
				}
			}
		}
	}
}

// chosen makes the section of argocd-image-updater's file. Argo CD replaces the whole list of the Application by that of the
// file, so what the Application sets besides is repeated in it.
func (b *back) chosen(per []*image.Pin, entries []image.Entry) *yaml.Node {
	if b.source.kind == kindKustomize {
		return b.chosenImages(per, entries)
	}
	values, forced := map[string]string{}, slices.Clone(b.options.Helm.ForceString)
	for k, v := range b.options.Helm.Parameters {
		values[k] = v
	}
	found := false
	for i, pin := range per {
		if pin == nil || pin.Tag == "" {
			continue
		}
		e := entries[i]
		tag := version(e, pin)
		for target, value := range map[string]string{e.Helm.Name: e.Image.Name(), e.Helm.Tag: tag, e.Helm.Spec: e.Image.Name() + ":" + tag} {
			if target != "" {
				values[target], found, forced = value, true, append(forced, target)
			}
		}
	}
	if !found {
		return mapping()
	}
	return mapping("parameters", helmList(values, forced, "forcestring"))
}

func version(e image.Entry, pin *image.Pin) string {
	if pin.Digest != "" && (e.Policy.PinDigest || e.Policy.Strategy == image.Digest) {
		return pin.Tag + "@" + pin.Digest
	}
	return pin.Tag
}

func (b *back) chosenImages(per []*image.Pin, entries []image.Entry) *yaml.Node {
	var made []string
	var ours []string
	for i, pin := range per {
		if pin == nil || pin.Tag == "" {
			continue
		}
		e := entries[i]
		s := e.Image.Name() + ":" + version(e, pin)
		if e.Kustomize.Name != "" {
			s = e.Kustomize.Name + "=" + s
		}
		made, ours = append(made, s), append(ours, replaced(s))
	}
	if len(made) == 0 {
		return mapping()
	}
	list := sequence(nil)
	for _, s := range b.options.Kustomize.Images {
		if !slices.Contains(ours, replaced(s)) {
			list.Content = append(list.Content, scalar(s))
		}
	}
	for _, s := range made {
		list.Content = append(list.Content, scalar(s))
	}
	return mapping("images", list)
}

// appended adds a section at the end of a file and changes nothing else in it.
func appended(data []byte, key string, section *yaml.Node) ([]byte, error) {
	more, err := encode(mapping(key, section), true)
	if err != nil {
		return nil, err
	}
	out := strings.Clone(string(data))
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	out += string(more)
	document, err := parse([]byte(out))
	if err != nil || child(document.Content[0], key) == nil {
		return nil, fmt.Errorf("a section cannot be added at its end: write its top level with one key on each line")
	}
	return []byte(out), nil
}
