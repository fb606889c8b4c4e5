package render

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/tagpin/tagpin/image"
)

// The grammar of tags and digests (OCI distribution specification). What does not match is refused wherever it comes from.
var (
	tagGrammar    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestGrammar = regexp.MustCompile(`^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$`)
)

// name is the repository as the user wrote it.
func (i *Image) name() string {
	if i.Entry.Image.Registry == "" {
		return i.Entry.Image.Repository
	}
	return i.Entry.Image.Registry + "/" + i.Entry.Image.Repository
}

// label names an image in an error.
func (i *Image) label() string {
	if i.Entry.Alias != "" {
		return fmt.Sprintf("image %q (%s)", i.Entry.Alias, i.name())
	}
	return fmt.Sprintf("image %q", i.name())
}

// parameter is the full name of one of the image's parameters.
func (i *Image) parameter(name string) string {
	if i.Entry.Alias != "" {
		return i.Entry.Alias + "." + name
	}
	return name
}

// digest is what manifests name besides the tag: nothing, unless the policy asks for it.
func (i *Image) digest() string {
	if i.Entry.Policy.PinDigest || i.Entry.Policy.Strategy == image.Digest {
		return i.Digest
	}
	return ""
}

// version is the tag with its digest: "v2.0" or "v2.0@sha256:…".
func (i *Image) version() string {
	if d := i.digest(); d != "" {
		return i.Tag + "@" + d
	}
	return i.Tag
}

func (i *Image) validate() error {
	wanted := i.Entry.Policy.PinDigest || i.Entry.Policy.Strategy == image.Digest
	switch {
	case i.Tag == "":
		return fmt.Errorf("%s: there is no tag to inject", i.label())
	case !tagGrammar.MatchString(i.Tag):
		return fmt.Errorf("%s: %q is not a valid tag", i.label(), i.Tag)
	case wanted && i.Digest == "":
		return fmt.Errorf("%s: manifests are to name the digest of tag %q, but it is not known: "+
			"pin it with its digest, or set %s to false", i.label(), i.Tag, i.parameter("pin-digest"))
	case wanted && !digestGrammar.MatchString(i.Digest):
		return fmt.Errorf("%s: %q is not a valid digest", i.label(), i.Digest)
	}
	return nil
}

// A write sets one Helm value.
type write struct {
	path      []step
	value     string
	label     string // of the image
	parameter string // that names the value, in full
	text      string // the path as it was written
}

// helmWrites are the values that images are written to, checked against each other.
func helmWrites(images []Image) ([]write, error) {
	var all []write
	for n := range images {
		img := &images[n]
		if err := img.validate(); err != nil {
			return nil, err
		}
		target := img.Entry.Helm
		for _, w := range []write{
			{text: target.Name, value: img.name(), parameter: "helm.image-name"},
			{text: target.Tag, value: img.version(), parameter: "helm.image-tag"},
			{text: target.Spec, value: img.name() + ":" + img.version(), parameter: "helm.image-spec"},
		} {
			if w.text == "" {
				continue
			}
			w.label, w.parameter = img.label(), img.parameter(w.parameter)
			var err error
			if w.path, err = parsePath(w.text); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", w.label, w.parameter, err)
			}
			if err := conflict(all, &w); err != nil {
				return nil, err
			}
			all = append(all, w)
		}
	}
	return all, nil
}

// conflict finds an earlier write to the same value, or to one inside of the other.
func conflict(earlier []write, w *write) error {
	for _, e := range earlier {
		shared := min(len(e.path), len(w.path))
		if !slices.Equal(e.path[:shared], w.path[:shared]) {
			continue
		}
		if len(e.path) == len(w.path) && e.value == w.value {
			continue
		}
		return fmt.Errorf("%s and %s both write the Helm value %q (%s, %s): give each image values of its own", e.label, w.label,
			w.text, e.parameter, w.parameter)
	}
	return nil
}

// injectHelm writes the images over vals, which it changes. Unlike Helm's --set, which replaces a whole list of the chart by
// one with a single entry, an index changes that entry and leaves the rest of the chart's list as it is.
func injectHelm(vals, defaults map[string]any, images []Image) error {
	writes, err := helmWrites(images)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if _, err := set(vals, defaults, w.path, w.value); err != nil {
			return fmt.Errorf("%s: %s: writing the Helm value %q: %w", w.label, w.parameter, w.text, err)
		}
	}
	return nil
}

// set returns node with value at path; defaults is what the chart has in node's place.
func set(node, defaults any, path []step, value string) (any, error) {
	if len(path) == 0 {
		return value, settable(node, defaults)
	}
	if node == nil && kindOf(defaults) == kindList {
		node = clone(defaults)
	}
	if path[0].isIndex() {
		return setIndex(node, path, value)
	}
	m, err := mapAt(node, defaults, path[0].key)
	if err != nil {
		return nil, err
	}
	below, _ := defaults.(map[string]any)
	child, err := set(m[path[0].key], below[path[0].key], path[1:], value)
	m[path[0].key] = child
	return m, err
}

// settable refuses to lay a string over a map or a list, which Helm would ignore or the chart would not expect.
func settable(old ...any) error {
	for _, v := range old {
		if k := kindOf(v); k == kindMap || k == kindList {
			return fmt.Errorf("the values have a %s there: name an entry of it", k)
		}
	}
	return nil
}

// mapAt is the map in which key is to be set, a new one if there is none.
func mapAt(node, defaults any, key string) (map[string]any, error) {
	if k := kindOf(node); node != nil && k != kindMap {
		return nil, fmt.Errorf("the values have a %s where %q is looked for", k, key)
	}
	if k := kindOf(defaults); node == nil && defaults != nil && k != kindMap {
		return nil, fmt.Errorf("the chart's values have a %s where %q is looked for; helm.image-spec writes name and tag into "+
			"one string", k, key)
	}
	if m, ok := node.(map[string]any); ok && m != nil {
		return m, nil
	}
	return map[string]any{}, nil
}

func setIndex(node any, path []step, value string) (any, error) {
	list, ok := node.([]any)
	if !ok {
		return nil, fmt.Errorf("the values have no list for the index [%d]", path[0].index)
	}
	if path[0].index >= len(list) {
		return nil, fmt.Errorf("the index [%d] is beyond the list, which has %d entries", path[0].index, len(list))
	}
	child, err := set(list[path[0].index], nil, path[1:], value)
	list[path[0].index] = child
	return list, err
}

// The kinds of values that are told apart in errors.
const (
	kindMap  = "map"
	kindList = "list"
)

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return kindMap
	case []any:
		return kindList
	case string:
		return "string"
	default:
		return "scalar"
	}
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		for k := range m {
			m[k] = clone(m[k])
		}
		return m
	case []any:
		l := slices.Clone(v)
		for i := range l {
			l[i] = clone(l[i])
		}
		return l
	default:
		return v
	}
}

// chartDefaults returns what the chart itself says, for set to look at. Only a path with an index needs the values of
// subcharts, too, and for these a chart of its own, because Helm changes the one it processes.
func chartDefaults(c *chart.Chart, reload func() (*chart.Chart, error), vals map[string]any, images []Image) (map[string]any, error) {
	indexed := slices.ContainsFunc(images, func(i Image) bool {
		return strings.Contains(i.Entry.Helm.Name+i.Entry.Helm.Tag+i.Entry.Helm.Spec, "[")
	})
	if !indexed {
		return c.Values, nil
	}
	own, err := reload()
	if err != nil {
		return nil, err
	}
	copied, _ := clone(vals).(map[string]any)
	if err := chartutil.ProcessDependenciesWithMerge(own, copied); err != nil {
		return nil, fmt.Errorf("processing dependencies: %w", err)
	}
	all, err := chartutil.CoalesceValues(own, copied)
	if err != nil {
		return nil, fmt.Errorf("merging the chart's values: %w", err)
	}
	return all, nil
}
