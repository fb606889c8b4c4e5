package migrate

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// fields turns what is left of the helm or kustomize section into parameters.
func (f *forward) fields() error {
	comment := map[string][2]string{}
	for k, v := range pairs(child(f.source.node, f.source.kind)) {
		comment[k.Value] = [2]string{k.HeadComment, v.LineComment}
	}
	for k, v := range pairs(f.block) {
		made, err := f.field(k.Value, v)
		if err != nil {
			return fmt.Errorf("%s.%s.%s: %w", f.source.field, f.source.kind, k.Value, err)
		}
		for i := range made {
			made[i].head, made[i].line = comment[k.Value][0], comment[k.Value][1]
			if i > 0 {
				made[i].head, made[i].line = "", ""
			}
		}
		f.params = append(f.params, made...)
	}
	order(f.params, aliasesOf(f.listed))
	return nil
}

func (f *forward) field(key string, v *yaml.Node) ([]parameter, error) {
	name, subject := f.source.kind+"."+key, f.source.field+"."+f.source.kind+"."+key
	_, def, known := definition(name, nil)
	if isNull(v) || v.Kind != yaml.ScalarNode && len(v.Content) == 0 {
		return nil, nil
	}
	switch {
	case !known:
		f.report.warn(subject, "it has no counterpart")
		return nil, nil
	case name == "helm.version" || name == "kustomize.version":
		f.version(subject, text(v))
		return nil, nil
	case name == "helm.parameters":
		return f.helmParameters(v)
	}
	p, err := convert(name, v, def)
	if err != nil {
		return nil, err
	}
	if name == "helm.valueFiles" || name == fileParameters {
		f.paths(subject, p)
	}
	return []parameter{p}, nil
}

func (f *forward) version(subject, version string) {
	if f.source.kind == kindHelm && (version == "v3" || version == "3") {
		f.report.tell(subject, "it is left out: there is only v3")
		return
	}
	f.report.warn(subject, "%s has no counterpart: tagpin renders with the version that is built in", version)
}

// paths lists the files that a plugin cannot have.
func (f *forward) paths(subject string, p parameter) {
	all := slices.Clone(p.Array)
	for _, k := range sorted(p.Map) {
		all = append(all, p.Map[k])
	}
	for i, file := range all {
		switch {
		case strings.HasPrefix(file, "$") && !strings.HasPrefix(file, "$ARGOCD_"):
			f.report.warn(subject, "%s: Argo CD gives a plugin only its own source: copy the file into it, since the render refuses this", file)
		case strings.Contains(file, "://"):
			f.report.warn(subject, "%s: a file at a URL is only read where the operator binds it (kind: file in tagpin.yaml)", withoutLogin(file))
		case i >= len(p.Array) && strings.ContainsAny(file, "*?[") && !hasTemplate(file):
			f.report.warn(subject, "%s: a pattern names no one file: name it", file) // those of value files are followed
		}
	}
}

// withoutLogin is a URL as it may stand in a log.
func withoutLogin(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "a URL"
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// helmParameters turns the list into a map, and a list of those that are text.
func (f *forward) helmParameters(v *yaml.Node) ([]parameter, error) {
	p := parameter{Parameter: image.Parameter{Name: "helm.parameters", Map: map[string]string{}}}
	forced := parameter{Parameter: image.Parameter{Name: "helm.forceString"}}
	for _, item := range v.Content {
		name := text(child(item, "name"))
		if name == "" {
			return nil, fmt.Errorf("line %d: a parameter has no name", item.Line)
		}
		if _, twice := p.Map[name]; twice {
			f.report.warn("helm.parameters "+name, "it is given twice: the last one counts")
		}
		p.Map[name] = text(child(item, "value"))
		forced.Array = slices.DeleteFunc(forced.Array, func(s string) bool { return s == name })
		if isForced(item) {
			forced.Array = append(forced.Array, name)
		}
	}
	if len(forced.Array) == 0 {
		return []parameter{p}, nil
	}
	return []parameter{p, forced}, nil
}

// isForced reads forceString, which argocd-image-updater writes in lower case.
func isForced(item *yaml.Node) bool {
	for k, v := range pairs(item) {
		if strings.EqualFold(k.Value, "forceString") {
			return text(v) == "true"
		}
	}
	return false
}

// convert writes a field as the kind that its parameter has.
func convert(name string, v *yaml.Node, def image.Definition) (parameter, error) {
	p := parameter{Parameter: image.Parameter{Name: name}}
	switch {
	case def.Kind == image.StringKind && v.Kind == yaml.ScalarNode:
		s := v.Value
		p.String = &s
	case def.Kind == image.StringKind:
		data, err := encode(v, true)
		if err != nil {
			return p, err
		}
		s := string(data)
		p.String = &s
	case def.Kind == image.ArrayKind && v.Kind == yaml.SequenceNode:
		p.Array = texts(v)
	case def.Kind == image.MapKind && v.Kind == yaml.MappingNode:
		p.Map = dictionary(v)
	case def.Kind == image.MapKind && v.Kind == yaml.SequenceNode:
		p.Map = map[string]string{}
		for _, item := range v.Content {
			p.Map[text(child(item, "name"))] = text(child(item, valueKey(name)))
		}
	default:
		return p, fmt.Errorf("line %d: it is neither of the kind that Argo CD wants nor a text", v.Line)
	}
	return p, nil
}

// valueKey is the field that holds the values of a list that is a map among the parameters.
func valueKey(name string) string {
	if name == fileParameters {
		return "path"
	}
	return "count"
}

// The two lists that are maps among the parameters, beside helm.parameters.
const (
	fileParameters = "helm.fileParameters"
	replicas       = "kustomize.replicas"
)
