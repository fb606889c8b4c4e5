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

// A standard is what native renders: what tagpin is held against.
type standard struct {
	objects  []object
	anyOrder bool
	varies   int // objects of which something differs between native renders
}

// anew stands for a value that native makes anew each time: random, of the clock, a certificate.
const anew = "(made anew each time)"

// again takes in another native render: what differs between the two does not count any more.
func (s *standard) again(manifests []string) error {
	other, err := objects(manifests)
	if err != nil {
		return err
	}
	align(s.objects, other)
	s.anyOrder = s.anyOrder || !slices.Equal(keys(s.objects), keys(other))
	s.varies = 0
	for i, o := range s.objects {
		if j := find(other, o.key); j >= 0 {
			masked, _ := mask(o.fields, other[j].fields).(map[string]any)
			if s.objects[i].fields = masked; !cmp.Equal(masked, other[j].fields) {
				s.varies++
			}
		}
	}
	return nil
}

// align gives objects whose name is another one each time the name that they have in want, by their place.
func align(want, other []object) {
	for i, o := range want {
		if i < len(other) && find(other, o.key) < 0 && find(want, other[i].key) < 0 {
			other[i].key = o.key
		}
	}
}

// mask replaces what differs between two values by anew.
func mask(a, b any) any {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return anew
		}
		out := map[string]any{}
		for k := range x {
			out[k] = mask(x[k], y[k])
		}
		return out
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return anew
		}
		out := make([]any, len(x))
		for i := range x {
			out[i] = mask(x[i], y[i])
		}
		return out
	}
	if !cmp.Equal(a, b) {
		return anew
	}
	return a
}

// masked puts anew into a value where pattern has it.
func masked(pattern, value any) any {
	if pattern == anew {
		return anew
	}
	switch x := pattern.(type) {
	case map[string]any:
		if y, ok := value.(map[string]any); ok {
			out := map[string]any{}
			for k := range y {
				out[k] = masked(x[k], y[k])
			}
			return out
		}
	case []any:
		if y, ok := value.([]any); ok && len(x) == len(y) {
			out := make([]any, len(y))
			for i := range y {
				out[i] = masked(x[i], y[i])
			}
			return out
		}
	}
	return value
}

// difference compares object by object, and then the order; it is empty when nothing differs.
func (s *standard) difference(manifests []string) (string, error) {
	got, err := objects(manifests)
	if err != nil {
		return "", err
	}
	if s.varies > 0 {
		align(s.objects, got)
	}
	var out strings.Builder
	for _, w := range s.objects {
		i := find(got, w.key)
		if i < 0 {
			fmt.Fprintf(&out, "only native has %s\n", w.key)
		} else if diff := cmp.Diff(any(w.fields), masked(w.fields, got[i].fields)); diff != "" {
			fmt.Fprintf(&out, "%s (-native +tagpin):\n%s", w.key, diff)
		}
	}
	for _, g := range got {
		if find(s.objects, g.key) < 0 {
			fmt.Fprintf(&out, "only tagpin has %s\n", g.key)
		}
	}
	if diff := cmp.Diff(keys(s.objects), keys(got)); diff != "" && out.Len() == 0 && !s.anyOrder {
		fmt.Fprintf(&out, "the order (-native +tagpin):\n%s", diff)
	}
	return out.String(), nil
}

func find(list []object, key string) int {
	return slices.IndexFunc(list, func(o object) bool { return o.key == key })
}

func keys(list []object) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.key)
	}
	return out
}

func difference(native, tagpin []string) (string, error) {
	want, err := objects(native)
	if err != nil {
		return "", err
	}
	return (&standard{objects: want}).difference(tagpin)
}
