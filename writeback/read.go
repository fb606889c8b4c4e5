package writeback

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
	"github.com/tagpin/tagpin/writeback/git"
)

// Read gives what the place's branch says of the applications: in at most four requests for all of them, and none when the
// branch is remembered and nobody asks for fresh.
func (w *Writer) Read(ctx context.Context, p image.Place, updates []image.Update, fresh bool) (b image.Branch, err error) {
	err = w.on(p, func(repo remote) (err error) {
		b, err = w.read(ctx, repo, p, reading{updates, fresh})
		return err
	})
	return b, err
}

type reading struct {
	updates []image.Update
	fresh   bool
}

func (w *Writer) read(ctx context.Context, repo remote, p image.Place, r reading) (image.Branch, error) {
	updates := r.updates
	tip, remembered, told := w.remembered(p)
	// A push to a branch of proposals doesn't find out whether the base moved.
	if r.fresh && !told || !remembered || p.Proposes() {
		var err error
		if tip, err = repo.Tip(ctx, p.Base); git.KindOf(err) == git.NoBranch {
			return image.Branch{Name: p.Base}, nil
		} else if err != nil {
			return image.Branch{}, err
		}
		w.remember(p, tip, false)
		told = true
	}
	b := image.Branch{Name: tip.Branch, Exists: true, Default: tip.Branch == tip.Default, Tip: tip.SHA, Remembered: !told}
	b.Apps = make([]image.Recorded, len(updates))
	targets := make([]target, len(updates))
	var paths []string
	for i, u := range updates {
		targets[i], b.Apps[i].Err = w.permitted(u, p, tip.Branch)
		paths = append(paths, targets[i].candidates()...)
	}
	slices.Sort(paths)
	files, err := repo.Read(ctx, tip.SHA, slices.Compact(paths))
	if git.KindOf(err) == git.Gone {
		w.remember(p, git.Tip{}, false) // rewritten history: begin again from where the branch is now
	}
	if err != nil {
		return image.Branch{}, err
	}
	for i, u := range updates {
		if b.Apps[i].Err == nil {
			b.Apps[i] = w.recorded(u, targets[i], files)
		}
	}
	return b, nil
}

// A target is the file that an application's pins are in.
type target struct {
	edit.Target
	edit.Result
}

// outside is what the operator must have listed: the file, or a kustomization's directory, if it isn't below the application's path.
func (t target) outside() string {
	if !t.OutsideApp {
		return ""
	}
	return t.Result.Path
}

// candidates are the paths at which the file may be.
func (t target) candidates() []string {
	switch {
	case t.Result.Path == "":
		return nil
	case t.Kind != edit.KustomizationTarget:
		return []string{t.Result.Path}
	}
	var paths []string
	for _, name := range kustomizationNames() {
		paths = append(paths, path.Join(t.Result.Path, name))
	}
	return paths
}

func kustomizationNames() []string {
	return []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
}

// permitted is targetOf where the operator lets the application write there.
func (w *Writer) permitted(u image.Update, p image.Place, branch string) (target, error) {
	t, err := targetOf(u)
	if err != nil {
		return target{}, err
	}
	if err := w.bound(u.App, p, branch, t.outside()); err != nil {
		return target{}, err
	}
	return t, nil
}

// targetOf finds the file, and refuses those that the application doesn't render.
func targetOf(u image.Update) (target, error) {
	t, err := edit.ParseTarget(u.Options.WriteBack.Target)
	if err != nil {
		return target{}, err
	}
	result, err := t.Resolve(u.App.Name, u.App.Path, func(string) bool { return true })
	if err != nil {
		return target{}, err
	}
	if t.Kind == edit.HelmValuesTarget && !rendersValues(u, result.Path) {
		return target{}, fmt.Errorf("write-back-target %s: the application does not render %s: it is neither the chart's values.yaml nor one of "+
			"helm.valueFiles", u.Options.WriteBack.Target, result.Path)
	}
	return target{t, result}, nil
}

func rendersValues(u image.Update, file string) bool {
	if file == path.Join(u.App.Path, "values.yaml") {
		return true
	}
	return slices.ContainsFunc(u.Options.Helm.ValueFiles, func(f string) bool {
		if path.IsAbs(f) {
			return path.Clean(f[1:]) == file
		}
		return path.Join(u.App.Path, f) == file
	})
}

// recorded reads the pins of one application.
func (w *Writer) recorded(u image.Update, t target, files map[string]git.File) image.Recorded {
	name, file, err := t.pick(files)
	if err != nil {
		return image.Recorded{Err: err}
	}
	r := image.Recorded{Pins: make([]*image.Pin, len(u.Options.Images))}
	if t.OutsideApp {
		r.Risk = fmt.Sprintf("%s lies outside of the application's path: Argo CD's manifest-generate-paths must list it", name)
	}
	switch t.Kind {
	case edit.HelmValuesTarget:
		err = readValues(&r, u, name, file.Bytes)
	case edit.KustomizationTarget:
		err = readKustomization(&r, u, name, file.Bytes)
	default:
		err = w.readPinFile(&r, u, name, file)
	}
	if err != nil {
		return image.Recorded{Err: fmt.Errorf("%s: %w", name, err)}
	}
	return r
}

// shared is the name of a file that several applications may write to; a pin file belongs to one alone.
func (t target) shared(name string) string {
	if t.Kind == edit.PinTarget {
		return ""
	}
	return name
}

// scalar names the part of a shared file that holds the pin of an image.
func scalar(u image.Update, index int) string {
	e := u.Options.Images[index]
	if t, err := edit.ParseTarget(u.Options.WriteBack.Target); err == nil && t.Kind == edit.KustomizationTarget {
		return kustomizeName(e)
	}
	return valueOf(e)
}

// pick gives the file among the candidates. A pin file need not exist; the others are a person's.
func (t target) pick(files map[string]git.File) (string, git.File, error) {
	var found []string
	for _, candidate := range t.candidates() {
		if err := files[candidate].Err; err != nil {
			return "", git.File{}, err
		}
		if files[candidate].Exists {
			found = append(found, candidate)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], files[found[0]], nil
	case len(found) > 1:
		return "", git.File{}, fmt.Errorf("there are %v, and kustomize takes one alone", found)
	case t.Kind == edit.PinTarget:
		return t.Result.Path, git.File{}, nil
	}
	return "", git.File{}, fmt.Errorf("there is no %s in the repository", t.Result.Path)
}

func (w *Writer) readPinFile(r *image.Recorded, u image.Update, name string, file git.File) error {
	for range u.Options.Images {
		r.Targets = append(r.Targets, name)
	}
	for i, e := range u.Options.Images {
		r.Targets[i] += "#" + e.Image.Name() + "#" + e.Alias
	}
	if !file.Exists {
		return nil
	}
	pins, err := edit.ParsePins(name, file.Bytes)
	if err != nil {
		return err
	}
	for _, section := range []string{"helm", "kustomize"} {
		if slices.Contains(pins.Sections, section) {
			return fmt.Errorf("it holds a section %s, with which Argo CD refuses an application of a plugin: remove it", section)
		}
	}
	r.Pins, _, err = edit.Match(pins.Pins, u.Options.Images, w.o.Same)
	var none *edit.NoneMatchError
	if errors.As(err, &none) {
		r.Risk, err = none.Error(), nil
	}
	return err
}

func readValues(r *image.Recorded, u image.Update, name string, data []byte) error {
	for i, e := range u.Options.Images {
		at := valueOf(e)
		if at == "" {
			return fmt.Errorf("%s has neither helm.image-tag nor helm.image-spec, so there is no value for its tag", e.Image.Name())
		}
		r.Targets = append(r.Targets, name+"#"+at)
		value, found, err := edit.GetValue(data, at)
		if err != nil {
			return err
		}
		if !found || value == "" {
			continue
		}
		pin, err := parsePinned(e, value, e.Helm.Tag == "")
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		r.Pins[i] = pin
	}
	return nil
}

// valueOf is the value that holds the tag.
func valueOf(e image.Entry) string {
	if e.Helm.Tag == "" {
		return e.Helm.Spec
	}
	return e.Helm.Tag
}

// parsePinned reads a tag ("v1", "v1@sha256:…"), or a whole reference.
func parsePinned(e image.Entry, value string, whole bool) (*image.Pin, error) {
	if !whole {
		value = e.Image.Name() + ":" + value
	}
	img, err := image.ParseImage(value)
	if err != nil {
		return nil, err
	}
	return &image.Pin{Alias: e.Alias, Image: e.Image.Name(), Tag: img.Tag, Digest: img.Digest}, nil
}

func readKustomization(r *image.Recorded, u image.Update, name string, data []byte) error {
	var k struct {
		Images []struct{ Name, NewTag, Digest string }
	}
	if err := yaml.Unmarshal(data, &k); err != nil {
		return fmt.Errorf("reading images: %w", err)
	}
	for i, e := range u.Options.Images {
		replaced := kustomizeName(e)
		r.Targets = append(r.Targets, name+"#"+replaced)
		for _, img := range k.Images {
			if img.Name == replaced && (img.NewTag != "" || img.Digest != "") {
				r.Pins[i] = &image.Pin{Alias: e.Alias, Image: e.Image.Name(), Tag: img.NewTag, Digest: img.Digest}
			}
		}
	}
	return nil
}

func kustomizeName(e image.Entry) string {
	if e.Kustomize.Name != "" {
		return e.Kustomize.Name
	}
	return e.Image.Name()
}
