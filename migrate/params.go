package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// A parameter is one of the plugin's, with the comments of what it was made from.
type parameter struct {
	image.Parameter
	head, line string
}

func stringParameter(name, value string) parameter {
	return parameter{Parameter: image.Parameter{Name: name, String: &value}}
}

// toParameter writes a text as the kind that a definition wants. A text with a template stays one text, since nobody knows how
// many items it will be.
func toParameter(name, value string, def image.Definition) parameter {
	if def.Kind != image.ArrayKind || hasTemplate(value) {
		return stringParameter(name, value)
	}
	p := parameter{Parameter: image.Parameter{Name: name, Array: []string{}}}
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			p.Array = append(p.Array, item)
		}
	}
	return p
}

// definition finds what a name means, given the aliases. The alias is empty for what concerns the application.
func definition(name string, aliases []string) (alias string, def image.Definition, known bool) {
	name = strings.TrimPrefix(name, image.Prefix)
	for _, d := range image.Definitions() {
		if !d.AliasOnly && d.Name == name {
			return "", d, true
		}
		for _, a := range aliases {
			if d.PerImage && (name == a+"."+d.Name || name == annotationAlias(a)+"."+d.Name) {
				return a, d, true
			}
		}
	}
	return "", image.Definition{}, false
}

// annotationAlias is how an alias stands in the key of an annotation, which cannot hold a second slash.
func annotationAlias(alias string) string { return strings.ReplaceAll(alias, "/", "_") }

// order sorts parameters: the list of images, what holds for all of them, then image by image, then the application, then
// rendering; within these in the order of docs/parameters.md.
func order(params []parameter, aliases []string) {
	defs := image.Definitions()
	rank := func(p parameter) (int, int) {
		alias, def, _ := definition(p.Name, aliases)
		i := slices.IndexFunc(defs, func(d image.Definition) bool { return d.Name == def.Name })
		switch {
		case def.Name == listName:
			return 0, i
		case alias != "":
			return 2 + slices.Index(aliases, alias), i
		case def.PerImage:
			return 1, i
		}
		return 2 + len(aliases), i
	}
	slices.SortStableFunc(params, func(a, b parameter) int {
		groupA, a2 := rank(a)
		groupB, b2 := rank(b)
		return cmp.Or(cmp.Compare(groupA, groupB), cmp.Compare(a2, b2))
	})
}

func parameterNodes(params []parameter) *yaml.Node {
	list := sequence(nil)
	for _, p := range params {
		n := mapping("name", scalar(p.Name))
		n.HeadComment = p.head
		switch {
		case p.Map != nil:
			n.Content = append(n.Content, scalar("map"), dict(p.Map))
		case p.Array != nil:
			n.Content = append(n.Content, scalar("array"), sequence(p.Array))
		default:
			v := scalar(*p.String)
			v.LineComment = p.line
			n.Content = append(n.Content, scalar("string"), v)
		}
		list.Content = append(list.Content, n)
	}
	return list
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// placeholders stands numbers in for templates: the same number for the same template. A number is a valid alias, name, tag,
// range, path and branch.
type placeholders map[string]string

func (p placeholders) fill(s string) string {
	return template.ReplaceAllStringFunc(s, func(t string) string {
		if p[t] == "" {
			p[t] = strconv.Itoa(len(p) + 1)
		}
		return p[t]
	})
}

func (p placeholders) parameter(in parameter) image.Parameter {
	out := in.Parameter
	out.Name = p.fill(in.Name)
	if in.String != nil {
		s := p.fill(*in.String)
		out.String = &s
	}
	if in.Array != nil {
		out.Array = []string{}
		for _, v := range in.Array {
			out.Array = append(out.Array, p.fill(v))
		}
	}
	if in.Map != nil {
		out.Map = map[string]string{}
		for k, v := range in.Map {
			out.Map[p.fill(k)] = p.fill(v)
		}
	}
	return out
}

func (p parameter) hasTemplate() bool {
	all := append([]string{p.Name}, p.Array...)
	if p.String != nil {
		all = append(all, *p.String)
	}
	for k, v := range p.Map {
		all = append(all, k, v)
	}
	return slices.ContainsFunc(all, hasTemplate)
}

// parseOptions reads parameters as the plugin will. Those with templates are read with a number in the place of each template;
// where that is no valid value, nobody can know yet, and it is told.
func parseOptions(params []parameter, r *report) (image.Options, error) {
	fill := placeholders{}
	var certain, uncertain []image.Parameter
	for _, p := range params {
		filled := fill.parameter(p)
		if p.hasTemplate() && p.Name != listName {
			uncertain = append(uncertain, filled)
			continue
		}
		certain = append(certain, filled)
	}
	o, err := image.ParseOptions(image.Input{Parameters: certain, Defaults: image.Defaults{WriteBackMethod: methodNone}})
	if err != nil {
		return o, err
	}
	for _, p := range uncertain {
		more, err := image.ParseOptions(image.Input{Parameters: append(certain, p), Defaults: image.Defaults{WriteBackMethod: methodNone}})
		if err != nil {
			r.tell("parameter "+p.Name, "its value has a template, so it could not be checked")
			continue
		}
		o, certain = more, append(certain, p)
	}
	return o, nil
}

// A listed is one entry of the image-list as it was written.
type listed struct {
	alias string
	// rest is the image and its constraint.
	rest  string
	image image.Image
}

func (l listed) String() string {
	if l.alias == "" {
		return l.rest
	}
	return l.alias + "=" + l.rest
}

// parseListed reads an image-list as argocd-image-updater does, by commas.
func parseListed(s string) ([]listed, error) {
	var all []listed
	fill := placeholders{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		entry, err := image.ParseEntry(fill.fill(item))
		if err != nil {
			return nil, err
		}
		l := listed{rest: item, image: entry.Image}
		if entry.Alias != "" {
			l.alias, l.rest, _ = strings.Cut(item, "=")
			l.alias, l.rest = strings.TrimSpace(l.alias), strings.TrimSpace(l.rest)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, errors.New("image-list is empty")
	}
	return all, nil
}

// nameImages gives an alias to the images that have none, since parameters of one image need it.
func nameImages(list []listed) (named []string) {
	taken := map[string]bool{}
	for _, l := range list {
		taken[l.alias] = true
	}
	for i := range list {
		if list[i].alias != "" {
			continue
		}
		base := list[i].image.Repository
		base = base[strings.LastIndex(base, "/")+1:]
		alias := base
		for n := 2; taken[alias]; n++ {
			alias = fmt.Sprintf("%s-%d", base, n)
		}
		taken[alias], list[i].alias = true, alias
		named = append(named, alias)
	}
	return named
}

func aliasesOf(list []listed) []string {
	var all []string
	for _, l := range list {
		if l.alias != "" {
			all = append(all, l.alias)
		}
	}
	return all
}
