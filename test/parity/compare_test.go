package parity

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// An object is one manifest as the repo-server answers it.
type object struct {
	key    string // kind namespace/name, numbered where several have the same
	fields map[string]any
}

func objects(manifests []string) ([]object, error) {
	seen := map[string]int{}
	out := make([]object, len(manifests))
	for i, m := range manifests {
		var meta struct {
			APIVersion, Kind string
			Metadata         struct{ Namespace, Name, GenerateName string }
		}
		if err := json.Unmarshal([]byte(m), &out[i].fields); err != nil {
			return nil, err
		}
		_ = json.Unmarshal([]byte(m), &meta) // an odd object has no name, and is compared all the same
		key := fmt.Sprintf("%s %s %s/%s%s", meta.APIVersion, meta.Kind, meta.Metadata.Namespace, meta.Metadata.Name, meta.Metadata.GenerateName)
		if seen[key]++; seen[key] > 1 {
			key += fmt.Sprintf(" (%d)", seen[key])
		}
		out[i].key = key
	}
	return out, nil
}

// difference compares object by object, and then the order; it is empty when nothing differs. Objects named in except are left
// out.
func difference(native, tagpin []string, except map[string]bool) (string, error) {
	want, err := objects(native)
	if err != nil {
		return "", err
	}
	got, err := objects(tagpin)
	if err != nil {
		return "", err
	}
	varies := func(o object) bool { return except[o.key] }
	want, got = slices.DeleteFunc(want, varies), slices.DeleteFunc(got, varies)
	var out strings.Builder
	for _, w := range want {
		i := slices.IndexFunc(got, func(g object) bool { return g.key == w.key })
		if i < 0 {
			fmt.Fprintf(&out, "only native has %s\n", w.key)
		} else if diff := cmp.Diff(w.fields, got[i].fields); diff != "" {
			fmt.Fprintf(&out, "%s (-native +tagpin):\n%s", w.key, diff)
		}
	}
	for _, g := range got {
		if !slices.ContainsFunc(want, func(w object) bool { return w.key == g.key }) {
			fmt.Fprintf(&out, "only tagpin has %s\n", g.key)
		}
	}
	if diff := cmp.Diff(keys(want), keys(got)); diff != "" && out.Len() == 0 {
		fmt.Fprintf(&out, "the order (-native +tagpin):\n%s", diff)
	}
	return out.String(), nil
}

func keys(list []object) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.key)
	}
	return out
}

// varying names the objects that differ between two native renders.
func varying(a, b []string) (map[string]bool, error) {
	first, err := objects(a)
	if err != nil {
		return nil, err
	}
	second, err := objects(b)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, pair := range [][2][]object{{first, second}, {second, first}} {
		for _, o := range pair[0] {
			i := slices.IndexFunc(pair[1], func(x object) bool { return x.key == o.key })
			if i < 0 || !cmp.Equal(o.fields, pair[1][i].fields) {
				out[o.key] = true
			}
		}
	}
	return out, nil
}
