package migrate

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
)

// managed is one image of the list, and what the updater wrote for it.
type managed struct {
	entry  image.Entry
	listed listed
	report *report
	// used are the names in the list of the section.
	used []string
}

// pin is what the section says about the image; nil if that is no pin.
func (m *managed) pin(kind string, block *yaml.Node) *image.Pin {
	name, tag, digest, found := "", "", "", false
	if kind == kindHelm {
		name, tag, digest, found = m.helm(block)
	} else {
		name, tag, digest, found = m.kustomize(block)
	}
	if !found {
		return nil
	}
	pin := &image.Pin{Alias: m.listed.alias, Image: m.entry.Image.Name(), Tag: tag, Digest: digest}
	if !m.fits(pin, name) {
		return nil
	}
	return pin
}

// fits checks that the pin renders what is rendered now.
func (m *managed) fits(pin *image.Pin, name string) bool {
	return m.named(pin, name) && m.tagged(pin)
}

func (m *managed) named(pin *image.Pin, name string) bool {
	subject := "image " + pin.Image
	running, err := image.ParseImage(name)
	switch {
	case hasTemplate(m.listed.rest) && err != nil:
		m.report.warn(subject, "its name is a template: it is not pinned")
		return false
	case hasTemplate(m.listed.rest):
		pin.Image = name
	case name != "" && (err != nil || !edit.SameImage(running, m.entry.Image)):
		m.report.warn(subject, "it is not pinned: what is rendered today is %s", name)
		return false
	case name != "" && name != pin.Image:
		m.report.tell(subject, "it is written as in image-list; today the manifests say %s", name)
	}
	return true
}

func (m *managed) tagged(pin *image.Pin) bool {
	subject := "image " + pin.Image
	byDigest := m.entry.Policy.PinDigest || m.entry.Policy.Strategy == image.Digest
	switch {
	case image.ValidTag(pin.Tag) != nil || pin.Digest != "" && image.ValidDigest(pin.Digest) != nil:
		m.report.warn(subject, "it is not pinned: %q is no tag", pin.Tag)
		return false
	case byDigest && pin.Digest == "":
		m.report.tell(subject, "it is not pinned: its digest is not known yet")
		return false
	case !byDigest && pin.Digest != "":
		m.report.warn(subject, "today the manifests name the digest of %s; with update-strategy %s only pin-digest: \"true\" keeps that", pin.Tag,
			m.entry.Policy.Strategy)
	}
	return true
}

// helm reads the parameters of the section.
func (m *managed) helm(block *yaml.Node) (name, tag, digest string, found bool) {
	values := map[string]string{}
	if list := child(block, "parameters"); list != nil {
		for _, p := range list.Content {
			values[text(child(p, "name"))] = text(child(p, "value"))
		}
	}
	target := m.entry.Helm
	if spec, ok := values[target.Spec]; ok && target.Spec != "" {
		m.used = []string{target.Spec}
		return reference(spec)
	}
	tag, found = values[target.Tag]
	if !found || target.Tag == "" {
		return "", "", "", false
	}
	m.used = []string{target.Name, target.Tag}
	tag, digest, _ = strings.Cut(tag, "@")
	return values[target.Name], tag, digest, true
}

func reference(s string) (name, tag, digest string, found bool) {
	img, err := image.ParseImage(s)
	if err != nil || img.Tag == "" {
		return "", "", "", false
	}
	return img.Name(), img.Tag, img.Digest, true
}

// kustomize reads the images of the section. The one that is meant replaces what the updater was told to replace.
func (m *managed) kustomize(block *yaml.Node) (name, tag, digest string, found bool) {
	want := m.entry.Kustomize.Name
	if want == "" {
		want = m.entry.Image.Name()
	}
	for _, s := range texts(child(block, "images")) {
		old, ref, renamed := strings.Cut(s, "=")
		if !renamed {
			ref = s
		}
		img, err := image.ParseImage(ref)
		wanted, errWant := image.ParseImage(want)
		oldImage, errOld := image.ParseImage(replaced(s))
		if err != nil || errWant != nil || errOld != nil || !edit.SameImage(oldImage, wanted) && old != want {
			continue
		}
		m.used = []string{replaced(s)}
		return img.Name(), img.Tag, img.Digest, img.Tag != ""
	}
	return "", "", "", false
}

// replaced is the name that an entry of kustomize's images is about, without tag and digest.
func replaced(s string) string {
	if old, _, renamed := strings.Cut(s, "="); renamed {
		return old
	}
	s, _, _ = strings.Cut(s, "@")
	if colon := strings.LastIndex(s, ":"); colon > strings.LastIndex(s, "/") {
		s = s[:colon]
	}
	return s
}

// take removes from the section what has become a pin.
func (m *managed) take(kind string, block *yaml.Node) {
	field, id := listField(kind)
	list := child(block, field)
	if list == nil {
		return
	}
	list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool { return slices.Contains(m.used, id(n)) })
	if len(list.Content) == 0 {
		remove(block, field)
	}
}
