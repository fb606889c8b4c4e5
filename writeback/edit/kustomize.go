package edit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A KustomizeChange is what `kustomize edit set image` would be told.
type KustomizeChange struct {
	// Name is the image of the manifests that is replaced; an entry of images: is found by exactly this spelling.
	Name string
	// NewName is left as it is when empty.
	NewName string
	// NewTag and Digest belong together: of what an entry had, nothing remains. With both empty only NewName is set.
	NewTag, Digest string
}

// Fields of an entry of images:, see kustomize's types.Image. What tagpin does not know (tagSuffix) stays.
const (
	fieldName    = "name"
	fieldNewName = "newName"
	fieldNewTag  = "newTag"
	fieldDigest  = "digest"
)

const images = "images"

// SetKustomizeImage changes one entry of images: in a kustomization, or adds it at the end. An entry that changes from a tag
// to a digest keeps its line, and so its comment; only the key and the value are new.
func SetKustomizeImage(data []byte, c KustomizeChange) ([]byte, error) {
	for _, v := range []string{c.Name, c.NewName, c.NewTag, c.Digest} {
		if err := checkValue(images, cmp.Or(v, "-")); err != nil {
			return nil, err
		}
	}
	if c.Name == "" {
		return nil, refuse(images, 0, "needs the name of the image that is replaced")
	}
	entry, err := findImage(data, c.Name)
	if err != nil {
		return nil, err
	}
	want := []field{{key: fieldName, value: c.Name}, {key: fieldNewName, value: c.NewName},
		{key: fieldNewTag, value: c.NewTag}, {key: fieldDigest, value: c.Digest}}
	var out []byte
	if entry < 0 {
		entry = -entry - 1
		out, err = change(data, func(f *file) (*splice, error) {
			root, err := f.root("a kustomization")
			if err != nil {
				return nil, err
			}
			return f.appendEntry(root, images, want)
		})
	} else {
		out, err = updateImage(data, entryPath(images, entry), c)
	}
	switch {
	case err != nil:
		return nil, at(images, err)
	case bytes.Equal(out, data):
		return data, nil
	}
	prefix := entryPath(images, entry) + "."
	if err := onlyChanged(data, out, func(path string) bool { return strings.HasPrefix(path, prefix) }); err != nil {
		return nil, at(images, err)
	}
	if err := entryHolds(out, entryPath(images, entry), wished(want, c)); err != nil {
		return nil, err
	}
	return out, nil
}

func entryPath(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// findImage returns the index of the entry with the name, or -1-n when none of the n entries has it.
func findImage(data []byte, name string) (int, error) {
	f, err := parse(data)
	if err != nil {
		return 0, err
	}
	root, err := f.root("a kustomization")
	if err != nil || root == nil {
		return -1, err
	}
	entries, err := f.entries(root, images)
	if err != nil {
		return 0, err
	}
	found := -1 - len(entries)
	for i, e := range entries {
		j, err := own(e, fieldName, below(entryPath(images, i), fieldName))
		if err != nil {
			return 0, err
		}
		if j < 0 || resolved(e.Content[j+1]).Value != name {
			continue
		}
		if found >= 0 {
			return 0, refuse(entryPath(images, i), e.Line, "names the same image as the entry in line %d: remove one", entries[found].Line)
		}
		found = i
	}
	return found, nil
}

// entries are the mappings of a list at the top of the file.
func (f *file) entries(root *yaml.Node, key string) ([]*yaml.Node, error) {
	i, err := own(root, key, key)
	if err != nil || i < 0 {
		return nil, err
	}
	list := resolved(root.Content[i+1])
	if isNull(list) {
		return nil, nil
	}
	if list.Kind != yaml.SequenceNode {
		return nil, refuse(key, list.Line, "is %s, no list: correct it", kindName(list))
	}
	out := make([]*yaml.Node, len(list.Content))
	for i, e := range list.Content {
		if out[i] = resolved(e); out[i].Kind != yaml.MappingNode {
			return nil, refuse(entryPath(key, i), e.Line, "is %s, no mapping: correct it", kindName(out[i]))
		}
	}
	return out, nil
}

func updateImage(data []byte, entry string, c KustomizeChange) ([]byte, error) {
	out := data
	var err error
	if c.NewName != "" {
		if out, err = setField(out, entry, field{key: fieldNewName, value: c.NewName}); err != nil {
			return nil, err
		}
	}
	if c.NewTag == "" && c.Digest == "" {
		return out, nil
	}
	if out, err = switchField(out, entry, c); err != nil {
		return nil, err
	}
	for _, w := range []field{{key: fieldNewTag, value: c.NewTag}, {key: fieldDigest, value: c.Digest}} {
		if out, err = setField(out, entry, w); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// switchField renames newTag to digest or back where one takes the place of the other.
func switchField(data []byte, entry string, c KustomizeChange) ([]byte, error) {
	from, to := fieldNewTag, fieldDigest
	if c.Digest == "" {
		from, to = to, from
	}
	if c.NewTag != "" && c.Digest != "" {
		return data, nil
	}
	return change(data, func(f *file) (*splice, error) {
		old, err := f.find(below(entry, from))
		if err != nil || old.value == nil {
			return nil, err
		}
		other, err := f.find(below(entry, to))
		if err != nil || other.value != nil {
			return nil, err
		}
		i, err := own(old.parent, from, old.path)
		if err != nil {
			return nil, err
		}
		return f.rename(old.parent, i, to)
	})
}

// wished are the fields that the result is checked for.
func wished(want []field, c KustomizeChange) []field {
	return slices.DeleteFunc(slices.Clone(want), func(w field) bool {
		return w.key == fieldNewName && c.NewName == "" || w.key != fieldNewName && w.key != fieldName && c.NewTag+c.Digest == ""
	})
}

// entryHolds reads an entry back.
func entryHolds(data []byte, entry string, want []field) error {
	for _, w := range want {
		got, _, err := GetValue(data, below(entry, w.key))
		if err != nil || got != w.value {
			return refuse(below(entry, w.key), 0, "cannot be edited in place: write it as a plain key and value on one line")
		}
	}
	return nil
}

// KustomizationFile picks the kustomization among the names of a directory's files, as kustomize does.
func KustomizationFile(names []string) (string, error) {
	var found []string
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if slices.Contains(names, name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", refuse("", 0, "the directory holds no kustomization.yaml, kustomization.yml or Kustomization: correct write-back-target")
	case 1:
		return found[0], nil
	}
	return "", refuse("", 0, "the directory holds %s, and kustomize takes only one: remove the others", strings.Join(found, " and "))
}
