package render

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/pkg/util"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
)

// An edit is a file's replacement; its zero value replaces nothing.
type edit struct {
	path string // real
	data []byte
}

// editKustomization applies the options in Argo CD's order, and the images after all of them, to a copy of the application's
// kustomization. Without options and images the file is rendered as it is.
func editKustomization(t *tree, dir string, r *Request) (edit, error) {
	opts := &r.Kustomize
	if !isSet(*opts) && len(r.Images) == 0 {
		return edit{}, nil
	}
	file, kust, err := readKustomization(t, dir)
	if err != nil {
		return edit{}, err
	}
	kust.NamePrefix = cmp.Or(opts.NamePrefix, kust.NamePrefix)
	kust.NameSuffix = cmp.Or(opts.NameSuffix, kust.NameSuffix)
	kust.Namespace = cmp.Or(opts.Namespace, kust.Namespace)
	for _, step := range []func() error{
		func() error { return setImages(kust, r) },
		func() error { return setReplicas(kust, opts.Replicas) },
		func() error { return addLabels(kust, r) },
		func() error { return addAnnotations(kust, r) },
		func() error { return addPatches(kust, opts.Patches) },
		func() error { return addComponents(t, dir, kust, opts) },
		func() error { return injectKustomize(kust, r.Images) },
	} {
		if err := step(); err != nil {
			return edit{}, err
		}
	}
	data, err := yaml.Marshal(kust)
	if err != nil {
		return edit{}, fmt.Errorf("writing the edited kustomization: %w", err)
	}
	real, err := t.real(file)
	return edit{path: real, data: data}, err
}

func readKustomization(t *tree, dir string) (string, *types.Kustomization, error) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if t.isFile(path.Join(dir, name)) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return "", nil, fmt.Errorf("%q has %d kustomization files (%s): keep one", dir, len(found), strings.Join(found, ", "))
	}
	file := path.Join(dir, found[0])
	data, err := t.read(file)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, err)
	}
	kust := new(types.Kustomization)
	if err := kust.Unmarshal(data); err != nil {
		return "", nil, fmt.Errorf("%s: %w", file, kustomizeError(err))
	}
	kust.FixKustomization()
	return file, kust, nil
}

// setImages is `kustomize edit set image` with the kustomize.images. That leaves the first entry of each name, sorted.
func setImages(kust *types.Kustomization, r *Request) error {
	if len(r.Kustomize.Images) == 0 {
		return nil
	}
	byName := map[string]types.Image{}
	for _, entry := range slices.Backward(kust.Images) {
		byName[entry.Name] = entry
	}
	kust.Images = slices.Collect(maps.Values(byName))
	for _, raw := range r.Kustomize.Images {
		img, err := parseImage(r.substitute(raw))
		if err != nil {
			return fmt.Errorf("kustomize.images: %w", err)
		}
		setImage(kust, img)
	}
	slices.SortFunc(kust.Images, func(a, b types.Image) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func parseImage(arg string) (types.Image, error) {
	key, value, renamed := strings.Cut(arg, "=")
	if !renamed {
		key, value = "", arg
	}
	name, tag, digest := util.SplitImageName(value)
	if name == arg || (renamed && key == "") {
		return types.Image{}, fmt.Errorf("%q: write image=newimage, image:tag, image@digest or image=newimage:tag", arg)
	}
	if !renamed {
		return types.Image{Name: name, NewTag: tag, Digest: digest}, nil
	}
	return types.Image{Name: key, NewName: name, NewTag: tag, Digest: digest}, nil
}

// keep stands for what the kustomization has, as in `kustomize edit set image`.
const keep = "*"

// setImage replaces the entry of that name, or adds one at the end.
func setImage(kust *types.Kustomization, img types.Image) {
	i := len(kust.Images)
	for n, entry := range kust.Images {
		if entry.Name == img.Name {
			i = n // kustomize applies all entries in turn, so the last one decides
		}
	}
	if i == len(kust.Images) {
		kust.Images = append(kust.Images, types.Image{})
	}
	old := kust.Images[i]
	for _, field := range []struct{ value, old *string }{
		{&img.NewName, &old.NewName}, {&img.NewTag, &old.NewTag}, {&img.Digest, &old.Digest},
	} {
		if *field.value == keep {
			*field.value = *field.old
		}
	}
	kust.Images[i] = img
}

// injectKustomize sets the chosen tags, and leaves the order of the entries alone: where one renames what the next one looks
// for, it matters, and the tag of one image must not change another's. An entry that gives the image another name keeps it, unless kustomize.image-name says
// which name the manifests have: then the image's own name is the new one.
func injectKustomize(kust *types.Kustomization, images []Image) error {
	written := map[string]*Image{}
	for n := range images {
		img := &images[n]
		if err := img.validate(); err != nil {
			return err
		}
		entry := types.Image{Name: img.name(), NewName: keep, NewTag: img.Tag, Digest: img.digest()}
		if name := img.Entry.Kustomize.Name; name != "" && name != entry.Name {
			entry.Name, entry.NewName = name, img.name()
		}
		if other := written[entry.Name]; other != nil && (other.version() != img.version() || other.name() != img.name()) {
			return fmt.Errorf("%s and %s both set the image %q of the kustomization: give each one its own %s", other.label(),
				img.label(), entry.Name, img.parameter("kustomize.image-name"))
		}
		written[entry.Name] = img
		setImage(kust, entry)
	}
	return nil
}

func setReplicas(kust *types.Kustomization, replicas map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(replicas)) {
		count, err := strconv.Atoi(replicas[name])
		if err != nil {
			return fmt.Errorf("kustomize.replicas: %q of %q is not a number", replicas[name], name)
		}
		kust.Replicas = slices.DeleteFunc(kust.Replicas, func(r types.Replica) bool { return r.Name == name })
		kust.Replicas = append(kust.Replicas, types.Replica{Name: name, Count: int64(count)})
	}
	slices.SortStableFunc(kust.Replicas, func(a, b types.Replica) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

func addLabels(kust *types.Kustomization, r *Request) error {
	opts := &r.Kustomize
	if opts.LabelIncludeTemplates && !opts.LabelWithoutSelector {
		return errors.New("kustomize.labelIncludeTemplates needs kustomize.labelWithoutSelector: set both or none")
	}
	if len(opts.CommonLabels) == 0 {
		return nil
	}
	labels := map[string]string{}
	for name, value := range opts.CommonLabels {
		labels[name] = r.substitute(value)
	}
	target := &kust.CommonLabels //nolint:staticcheck // Argo CD writes there, and labels differ in what they reach
	if opts.LabelWithoutSelector {
		target = labelsWithoutSelector(kust, opts.LabelIncludeTemplates)
	}
	return addPairs(target, labels, opts.ForceCommonLabels, "kustomize.commonLabels", "kustomize.forceCommonLabels")
}

// labelsWithoutSelector finds or makes the entry of labels with these settings.
func labelsWithoutSelector(kust *types.Kustomization, templates bool) *map[string]string {
	i := slices.IndexFunc(kust.Labels, func(l types.Label) bool {
		return !l.IncludeSelectors && l.IncludeTemplates == templates
	})
	if i < 0 {
		i = len(kust.Labels)
		kust.Labels = append(kust.Labels, types.Label{IncludeTemplates: templates})
	}
	return &kust.Labels[i].Pairs
}

func addAnnotations(kust *types.Kustomization, r *Request) error {
	opts := &r.Kustomize
	annotations := maps.Clone(opts.CommonAnnotations)
	if opts.CommonAnnotationsEnvsubst {
		for name, value := range annotations {
			annotations[name] = r.substitute(value)
		}
	}
	return addPairs(&kust.CommonAnnotations, annotations, opts.ForceCommonAnnotations, "kustomize.commonAnnotations",
		"kustomize.forceCommonAnnotations")
}

// addPairs adds labels or annotations; without force one that is there already is an error, as in `kustomize edit add`.
func addPairs(to *map[string]string, add map[string]string, force bool, field, forceField string) error {
	for _, name := range slices.Sorted(maps.Keys(add)) {
		if _, taken := (*to)[name]; taken && !force {
			return fmt.Errorf("%s: the kustomization has %q already: remove it, or set %s", field, name, forceField)
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = unquote(add[name])
	}
	return nil
}

// unquote drops one pair of double quotes, as kustomize does for values on its command line.
func unquote(s string) string {
	if len(s) >= 2 && strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) {
		return s[1 : len(s)-1]
	}
	return s
}

func addPatches(kust *types.Kustomization, list string) error {
	var patches []types.Patch
	if err := yaml.UnmarshalStrict([]byte(list), &patches); err != nil {
		return fmt.Errorf("kustomize.patches: it is to be a YAML list of patches: %w", err)
	}
	kust.Patches = append(kust.Patches, patches...)
	return nil
}

// addComponents adds directories; a pattern stands for what it matches.
func addComponents(t *tree, dir string, kust *types.Kustomization, opts *image.Kustomize) error {
	for _, pattern := range opts.Components {
		found, err := []string{pattern}, error(nil)
		if _, remote := remoteHost(pattern); !remote {
			found, err = matches(t, dir, pattern)
		}
		if err != nil {
			return fmt.Errorf("kustomize.components: %q %w", pattern, err)
		}
		if len(found) == 0 && !opts.IgnoreMissingComponents {
			return fmt.Errorf("kustomize.components: there is no %q below %q: correct it, or set "+
				"kustomize.ignoreMissingComponents", pattern, dir)
		}
		for _, component := range found {
			if !slices.Contains(kust.Components, component) {
				kust.Components = append(kust.Components, component)
			}
		}
	}
	return nil
}

// matches expands a pattern that is relative to dir, into paths that are relative to dir.
func matches(t *tree, dir, pattern string) ([]string, error) {
	name, err := join(dir, pattern)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsAny(pattern, `*?[\`) {
		if t.isDir(name) {
			return []string{pattern}, nil
		}
		return nil, nil
	}
	found, err := t.glob(name)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if found[i], err = filepath.Rel(dir, found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}
