package edit

import (
	"errors"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// A HelmChange writes one choice into a values file.
type HelmChange struct {
	Target image.HelmTarget
	// Image is the repository as image-list spells it; its tag and digest are not looked at.
	Image image.Image
	// Pin is the choice. A digest that is only known, and that manifests shall not name, is left out by the caller.
	Pin image.Pin
}

// SetHelm writes choices into a values file: of each target the values that are set. A value that names the same repository in
// other words (no registry, docker.io, another host of the same registry) stays as it is; same says what is the same, and nil
// means SameImage.
func SetHelm(data []byte, changes []HelmChange, same func(a, b image.Image) bool) ([]byte, error) {
	if same == nil {
		same = SameImage
	}
	var writes []Write
	for _, c := range changes {
		w, err := c.writes(data, same)
		if err != nil {
			return nil, err
		}
		writes = append(writes, w...)
	}
	if err := readByHelm(data, writes); err != nil {
		return nil, err
	}
	return SetValues(data, writes)
}

// readByHelm refuses values below the first document, which Helm 3 does not read.
func readByHelm(data []byte, writes []Write) error {
	f, err := parse(data)
	if err != nil {
		return err
	}
	for _, w := range writes {
		p, err := f.find(w.Path)
		if err != nil {
			return at(w.Path, err)
		}
		if p.doc > 0 {
			return refuse(w.Path, f.docs[p.doc].Line, "belongs to document %d of the file, and Helm reads only the first one: "+
				"move it there", p.doc+1)
		}
	}
	return nil
}

func (c HelmChange) writes(data []byte, same func(a, b image.Image) bool) ([]Write, error) {
	var writes []Write
	if c.Pin.Tag == "" && c.Pin.Digest == "" {
		return nil, errors.New("a choice without tag and digest cannot be written")
	}
	if c.Target.Tag != "" {
		writes = append(writes, Write{c.Target.Tag, c.tag()})
	}
	if c.Target.Name != "" {
		name, err := c.name(data, same)
		if err != nil {
			return nil, err
		}
		if name != "" {
			writes = append(writes, Write{c.Target.Name, name})
		}
	}
	if c.Target.Spec != "" {
		spec, err := c.spec(data, same)
		if err != nil {
			return nil, err
		}
		writes = append(writes, Write{c.Target.Spec, spec})
	}
	return writes, nil
}

// tag is what charts put behind the colon. A digest needs some tag before it there; like argocd-image-updater, "latest" is
// taken when there is none: with a digest it has no effect.
func (c HelmChange) tag() string {
	switch {
	case c.Pin.Digest == "":
		return c.Pin.Tag
	case c.Pin.Tag == "":
		return "latest@" + c.Pin.Digest
	}
	return c.Pin.Tag + "@" + c.Pin.Digest
}

func (c HelmChange) reference(name string) string {
	if c.Pin.Tag == "" {
		return name + "@" + c.Pin.Digest
	}
	return name + ":" + c.tag()
}

// name is what to write as the repository's name, or empty when the file says it already.
func (c HelmChange) name(data []byte, same func(a, b image.Image) bool) (string, error) {
	have, _, err := GetValue(data, c.Target.Name)
	if err != nil {
		return "", err
	}
	if host, ok := besideRegistry(data, c.Target.Name); ok && !hasRegistry(have) {
		return c.nameBelow(host, have, same)
	}
	switch now, err := image.ParseImage(have); {
	case err != nil: // nothing, or a template
		return c.Image.Name(), nil
	case same(now, c.Image), now.Registry == "" && now.Repository == c.Image.Repository:
		return "", nil // the chart puts the registry before it
	case now.Registry == "" && same(image.Image{Repository: c.Image.Repository}, c.Image):
		return c.Image.Repository, nil // Docker Hub
	}
	return c.Image.Name(), nil
}

// nameBelow is the name where the file names the registry in a value of its own.
func (c HelmChange) nameBelow(host, have string, same func(a, b image.Image) bool) (string, error) {
	if !same(image.Image{Registry: host, Repository: c.Image.Repository}, c.Image) {
		return "", refuse(c.Target.Name, 0, "stands beside the registry %q, but image-list names %s: correct the one or the other",
			clip(host), c.Image.Name())
	}
	if now, err := image.ParseImage(host + "/" + have); err == nil && same(now, c.Image) {
		return "", nil
	}
	return c.Image.Repository, nil
}

// besideRegistry reads the value "registry" beside the one of the name, as many charts have it.
func besideRegistry(data []byte, path string) (string, bool) {
	dot := strings.LastIndex(path, ".")
	if dot < 0 || strings.HasSuffix(path, "]") {
		return "", false
	}
	host, ok, err := GetValue(data, path[:dot]+".registry")
	return host, ok && err == nil && host != ""
}

func hasRegistry(name string) bool {
	img, err := image.ParseImage(name)
	return err == nil && img.Registry != ""
}

// spec is the whole reference, with the name as the file spells it if that is the same repository.
func (c HelmChange) spec(data []byte, same func(a, b image.Image) bool) (string, error) {
	have, _, err := GetValue(data, c.Target.Spec)
	if err != nil {
		return "", err
	}
	if now, err := image.ParseImage(have); err == nil && same(now, c.Image) {
		return c.reference(now.Name()), nil
	}
	return c.reference(c.Image.Name()), nil
}
