package image

import (
	"maps"
	"slices"
	"strings"
)

// ForUpdates leaves out what only renders need: values, patches, labels, entries of plugin.env that are the user's own. None of it
// decides over a pin, much of it is long, and some of it is nobody else's business.
func (in Input) ForUpdates() Input {
	out := Input{Defaults: in.Defaults}
	for _, p := range in.Parameters {
		if !rendersOnly(strings.TrimPrefix(p.Name, Prefix)) {
			out.Parameters = append(out.Parameters, p)
		}
	}
	list, err := readList(in)
	if err != nil {
		list = nil // then that is what is wrong with these options, whatever else they hold
	}
	names, err := newVocabulary(list)
	if err != nil {
		return out
	}
	out.Env = maps.Clone(in.Env)
	maps.DeleteFunc(out.Env, func(name, _ string) bool {
		s, ours := names.env[name]
		return !ours || rendersOnly(s.def.Name)
	})
	return out
}

// rendersOnly says of a parameter of Helm's or Kustomize's that no update depends on it. The value files do matter: a pin may only
// go to one that is rendered.
func rendersOnly(name string) bool {
	if name == "helm.valueFiles" {
		return false
	}
	return slices.ContainsFunc(slices.Concat(helmDefinitions(), kustomizeDefinitions()), func(d Definition) bool { return d.Name == name })
}
