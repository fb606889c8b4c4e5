package image

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An Input is where an application's settings come from.
type Input struct {
	Parameters []Parameter
	// Env is plugin.env: the names are without Argo CD's prefix ARGOCD_ENV_. An empty value is the same as none.
	Env      map[string]string
	Defaults Defaults
}

// Defaults are the operator's, for applications that don't say otherwise. Empty fields are none.
type Defaults struct {
	WriteBackMethod string
	WithoutPin      string
}

// A setting is a value, under the name by which it was given.
type setting struct {
	name string
	text string
	list []string
	dict map[string]string
}

// DecodeParameters reads the JSON of ARGOCD_APP_PARAMETERS, which is "null" for an application without parameters.
func DecodeParameters(data []byte) ([]Parameter, error) {
	var parameters []Parameter
	if err := json.Unmarshal(data, &parameters); err != nil {
		return nil, fmt.Errorf("reading the plugin parameters: %w", err)
	}
	return parameters, nil
}

// ParseOptions reads and validates everything that an application sets. A parameter wins over an entry of plugin.env, what is
// set for one image over what is set for all, and that over the default. A name or value that is not understood is an error.
//
// An application without image-list is accepted: it has no images, and nothing to write back.
func ParseOptions(in Input) (Options, error) {
	list, err := readList(in)
	if err != nil {
		return Options{}, err
	}
	names, err := newVocabulary(list)
	if err != nil {
		return Options{}, err
	}
	set, err := collect(in, names)
	if err != nil {
		return Options{}, err
	}
	return build(list, set, in.Defaults)
}

// readList reads the image-list ahead of everything else: the names of other settings depend on its aliases.
func readList(in Input) ([]Listed, error) {
	for _, p := range in.Parameters {
		if strings.TrimPrefix(p.Name, Prefix) != imageList {
			continue
		}
		if p.Array != nil {
			return ParseItems(p.Array)
		}
		if p.String != nil {
			return ParseList(*p.String)
		}
		return nil, nil // of a wrong kind: collect says so
	}
	if s := in.Env[EnvName(imageList)]; s != "" {
		return ParseList(s)
	}
	return nil, nil
}

// collect finds the slot of every value and checks the value by itself.
func collect(in Input, names vocabulary) (map[slot]setting, error) {
	set := map[slot]setting{}
	for _, p := range in.Parameters {
		s, err := names.parameter(p.Name)
		if err != nil {
			return nil, err
		}
		if first, twice := set[s]; twice {
			return nil, fmt.Errorf("parameter %q is given twice, the first time as %q: remove one", p.Name, first.name)
		}
		if set[s], err = fromParameter(p, s.def); err != nil {
			return nil, fmt.Errorf("parameter %q: %w", p.Name, err)
		}
	}
	return set, collectEnv(in.Env, names, set)
}

// collectEnv adds what plugin.env says to what the parameters don't.
func collectEnv(env map[string]string, names vocabulary, set map[slot]setting) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if env[name] == "" {
			continue
		}
		s, ours, err := names.environment(name)
		if err != nil {
			return err
		}
		if _, given := set[s]; !ours || given {
			continue
		}
		if set[s], err = fromEnv(name, env[name], s.def); err != nil {
			return fmt.Errorf("plugin.env %s: %w", name, err)
		}
	}
	return nil
}

func fromParameter(p Parameter, def *Definition) (setting, error) {
	s := setting{name: p.Name}
	given := kinds(p)
	if len(given) > 1 {
		return s, fmt.Errorf("values of several kinds (%s), where one is expected: %s. Parameters in an .argocd-source file of the "+
			"repository, which are merged in by position, can cause this", join(given), expected(def))
	}
	switch {
	case len(given) == 0:
		return s, fmt.Errorf("no value: give it %s", expected(def))
	case given[0] == StringKind && def.Commas:
		s.list = splitCommas(*p.String)
		if len(s.list) == 0 {
			return s, nonEmpty("")
		}
	case given[0] != def.Kind:
		return s, fmt.Errorf("given as %s: make it %s", article(given[0]), expected(def))
	default:
		s.list, s.dict = p.Array, p.Map
		if p.String != nil {
			s.text = *p.String
		}
	}
	return s, s.check(def)
}

func fromEnv(name, value string, def *Definition) (setting, error) {
	s := setting{name: name}
	switch {
	case def.Kind == StringKind:
		s.text = value
	case def.Commas:
		s.list = splitCommas(value)
	default:
		return s, fmt.Errorf("the environment holds strings only, and this is %s: use plugin.parameters", article(def.Kind))
	}
	return s, s.check(def)
}

func (s setting) check(def *Definition) error {
	if def.check == nil {
		return nil
	}
	if def.Kind == StringKind {
		err := def.check(s.text)
		if err != nil && s.text == "" {
			return nonEmpty("")
		}
		return err
	}
	for _, item := range s.list {
		if err := def.check(item); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.dict)) {
		if err := def.check(s.dict[key]); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
	}
	return nil
}

func splitCommas(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func kinds(p Parameter) []Kind {
	var given []Kind
	if p.String != nil {
		given = append(given, StringKind)
	}
	if p.Array != nil {
		given = append(given, ArrayKind)
	}
	if p.Map != nil {
		given = append(given, MapKind)
	}
	return given
}

func join(given []Kind) string {
	words := make([]string, len(given))
	for i, k := range given {
		words[i] = article(k)
	}
	return strings.Join(words, " and ")
}

func article(k Kind) string {
	if k == ArrayKind {
		return "an array"
	}
	return "a " + string(k)
}

func expected(def *Definition) string {
	switch {
	case def.Boolean:
		return `the string "true" or "false"`
	case def.Commas:
		return "an array, or a string separated by commas"
	}
	return article(def.Kind)
}

// build puts checked values into their fields, and checks what depends on more than one of them.
func build(list []Listed, set map[slot]setting, defaults Defaults) (Options, error) {
	var o Options
	for s, value := range set {
		if s.entry == application && s.def.option != nil {
			store(s.def.option(&o), value)
		}
	}
	if err := finishWriteBack(&o, list, defaults); err != nil {
		return Options{}, err
	}
	for _, name := range o.Helm.ForceString {
		if _, given := o.Helm.Parameters[name]; !given {
			return Options{}, fmt.Errorf("parameter helm.forceString: %q is not among helm.parameters", name)
		}
	}
	for i, l := range list {
		entry, err := buildEntry(i, l, set)
		if err != nil {
			return Options{}, fmt.Errorf("image %s: %w", cmp.Or(l.Alias, l.Image.Name()), err)
		}
		entry.Hold = entry.Hold || o.Hold
		o.Images = append(o.Images, entry)
	}
	return o, nil
}

func buildEntry(i int, l Listed, set map[slot]setting) (Entry, error) {
	if l.Image.Digest != "" {
		return Entry{}, errors.New("image-list names a digest, which never changes: write a constraint instead, or remove the entry")
	}
	d := draft{Entry: Entry{Alias: l.Alias, Image: l.Image.WithTag("")}, spec: PolicySpec{Constraint: l.Image.Tag}}
	// What is set for all comes first, so that what is set for this image replaces it.
	for _, entry := range []int{application, i} {
		for s, value := range set {
			if s.entry == entry && s.def.setting != nil {
				store(s.def.setting(&d), value)
			}
		}
	}
	policy, err := NewPolicy(d.spec)
	if err != nil {
		return Entry{}, err
	}
	d.Policy = policy
	if kind, rest, found := strings.Cut(d.PullSecret, ":"); found {
		d.PullSecret = strings.ToLower(kind) + ":" + rest
	}
	d.Helm, err = finishTarget(d.Helm)
	return d.Entry, err
}

// finishTarget fills in the usual values of a chart when no target is set.
func finishTarget(t HelmTarget) (HelmTarget, error) {
	switch {
	case t == HelmTarget{}:
		return HelmTarget{Name: "image.repository", Tag: "image.tag"}, nil
	case t.Spec != "" && (t.Name != "" || t.Tag != ""):
		return t, errors.New("helm.image-spec holds name and tag already: remove helm.image-name and helm.image-tag, or helm.image-spec")
	case t.Name == t.Tag && t.Name != "":
		return t, fmt.Errorf("helm.image-name and helm.image-tag are both %q: use helm.image-spec if that value holds name and tag", t.Name)
	}
	return t, nil
}

func finishWriteBack(o *Options, list []Listed, defaults Defaults) error {
	method := cmp.Or(o.WriteBack.Method, defaults.WriteBackMethod)
	if method == "" && len(list) == 0 {
		method = methodNone // without images there is nothing to write
	}
	if method == "" {
		return errors.New("write-back-method is not set: write none, to look for the newest tag at each render, or git " +
			"(git:secret:<namespace>/<name>), to have each choice committed first")
	}
	var err error
	if o.WriteBack.Method, err = parseMethod(method); err != nil {
		return fmt.Errorf("the operator's default write-back-method: %w", err)
	}
	o.WithoutPin = cmp.Or(o.WithoutPin, WithoutPin(defaults.WithoutPin))
	if o.WithoutPin != "" {
		if err := validWithoutPin(string(o.WithoutPin)); err != nil {
			return fmt.Errorf("the operator's default without-pin: %w", err)
		}
	}
	return nil
}

// store puts a checked value into the field that its definition points to.
func store(field any, s setting) {
	switch f := field.(type) {
	case *string:
		*f = s.text
	case *bool:
		*f = s.text == yes
	case *WithoutPin:
		*f = WithoutPin(s.text)
	case *[]string:
		*f = s.list
	case *map[string]string:
		*f = s.dict
	}
}
