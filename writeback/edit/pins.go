package edit

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

const (
	pinPrefix = ".argocd-source-"
	pinSuffix = ".yaml"
	pinsKey   = "pins"
	trueText  = "true"
)

// PinFileName is the name of an application's pin file, which lies in the directory of the source. app is ARGOCD_APP_NAME:
// "app", or "ns_app" for an application outside Argo CD's own namespace. Argo CD merges this file into the source before it
// calls a plugin, and ignores the key pins.
func PinFileName(app string) string { return pinPrefix + app + pinSuffix }

// A PinFile is what a pin file says.
type PinFile struct {
	// Name is that of the file; empty when there is none.
	Name string
	Pins []image.Pin
	// Sections are the other keys at the top. Argo CD merges those it knows: helm and kustomize break an application whose
	// source is a plugin, and plugin replaces its parameters.
	Sections []string
	// Others are the pin files of other applications in the same directory, when the application has none of its own.
	Others []string
}

// ParsePins reads the pins of a pin file; name is for the errors. The section pins must be right in every detail: a pin that
// is misread would deploy something else. Everything outside of it is no concern of tagpin, as long as it is YAML.
func ParsePins(name string, data []byte) (PinFile, error) {
	p := PinFile{Name: name}
	f, err := parse(data)
	if err != nil {
		return PinFile{}, fmt.Errorf("%s: %w", name, err)
	}
	root, err := f.root("a pin file")
	if err != nil {
		return PinFile{}, fmt.Errorf("%s: %w", name, err)
	}
	if root == nil {
		return p, nil
	}
	for i := 0; i < len(root.Content); i += 2 {
		if k := keyName(root.Content[i], i); k != pinsKey {
			p.Sections = append(p.Sections, k)
		}
	}
	if p.Pins, err = f.pins(root); err != nil {
		return PinFile{}, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func (f *file) pins(root *yaml.Node) ([]image.Pin, error) {
	entries, err := f.entries(root, pinsKey)
	if err != nil {
		return nil, err
	}
	var pins []image.Pin
	for i, e := range entries {
		pin, err := parsePin(e, entryPath(pinsKey, i))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(pins, func(o image.Pin) bool { return o.Alias == pin.Alias && o.Image == pin.Image }) {
			return nil, refuse(entryPath(pinsKey, i), e.Line, "pins %s a second time: remove one, or give each its alias", pin.Image)
		}
		pins = append(pins, pin)
	}
	return pins, nil
}

// The keys of a pin, in the order in which they are written.
const (
	pinAlias  = "alias"
	pinImage  = "image"
	pinTag    = "tag"
	pinDigest = "digest"
	pinHold   = "hold"
)

func parsePin(e *yaml.Node, path string) (image.Pin, error) {
	var pin image.Pin
	seen := map[string]bool{}
	for i := 0; i < len(e.Content); i += 2 {
		key, value := keyName(e.Content[i], i), resolved(e.Content[i+1])
		at := below(path, key)
		if seen[key] {
			return pin, refuse(at, e.Content[i].Line, "stands twice: remove one")
		}
		seen[key] = true
		if value.Kind != yaml.ScalarNode || isNull(value) || value.Value == "" {
			return pin, refuse(at, e.Content[i].Line, "must be a text: give it one, or remove the key")
		}
		if err := setPinKey(&pin, key, value.Value); err != nil {
			return pin, refuse(at, value.Line, "is wrong: %s", err)
		}
	}
	switch {
	case pin.Image == "":
		return pin, refuse(path, e.Line, "has no image: add it")
	case pin.Tag == "" && pin.Digest == "" && !pin.Hold:
		return pin, refuse(path, e.Line, "has neither a tag nor a digest: add one, or remove the entry")
	}
	return pin, nil
}

func setPinKey(pin *image.Pin, key, value string) error {
	switch key {
	case pinAlias:
		pin.Alias = value
		return validAlias(value)
	case pinImage:
		pin.Image = value
		return validPinned(value)
	case pinTag:
		pin.Tag = value
		return image.ValidTag(value)
	case pinDigest:
		pin.Digest = value
		return image.ValidDigest(value)
	case pinHold:
		pin.Hold = value == trueText
		if value != trueText && value != "false" {
			return fmt.Errorf("%q is neither true nor false", clip(value))
		}
		return nil
	}
	return errors.New("a pin has the keys alias, image, tag, digest and hold, and no other")
}

// aliasPattern is that of an image-list.
var aliasPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$`)

func validAlias(s string) error {
	if !aliasPattern.MatchString(s) {
		return fmt.Errorf("%q is no alias: letters, digits, '_', '.', '/' and '-', at most 128, are", clip(s))
	}
	return nil
}

func validPinned(s string) error {
	i, err := image.ParseImage(s)
	if err == nil && (i.Tag != "" || i.Digest != "") {
		return fmt.Errorf("%q holds a tag or a digest: move it to a key of its own", clip(s))
	}
	return err
}

// clip keeps text from outside short in messages.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// SetPins writes pins into a pin file; data is nil when there is none yet. A pin takes the place of the one with the same image
// and alias (Repin keeps the spelling that the file has). Other pins stay, as does everything else in the file. An empty tag or
// digest removes the old one. Hold is only ever added: what a person holds, a person lets go.
func SetPins(data []byte, pins []image.Pin) ([]byte, error) {
	out := data
	var entries []int
	for _, pin := range pins {
		if err := checkPin(pin); err != nil {
			return nil, err
		}
		next, entry, err := setPin(out, pin)
		if err != nil {
			return nil, at(pinsKey, err)
		}
		if slices.Contains(entries, entry) {
			return nil, refuse(entryPath(pinsKey, entry), 0, "would be written twice: give each use of %s its alias", pin.Image)
		}
		entries, out = append(entries, entry), next
	}
	if bytes.Equal(out, data) {
		return data, nil
	}
	err := onlyChanged(data, out, func(path string) bool {
		return slices.ContainsFunc(entries, func(i int) bool { return strings.HasPrefix(path, entryPath(pinsKey, i)+".") })
	})
	if err != nil {
		return nil, at(pinsKey, err)
	}
	if err := pinsHold(out, pins, entries); err != nil {
		return nil, err
	}
	return out, nil
}

func checkPin(pin image.Pin) error {
	_, err := parsePinFields(pin)
	if err != nil {
		return refuse(pinsKey, 0, "cannot take a pin for %q: %s", clip(pin.Image), err)
	}
	return nil
}

// parsePinFields checks a pin by the rules for those that are read.
func parsePinFields(pin image.Pin) (image.Pin, error) {
	var e yaml.Node
	for _, w := range pinFields(pin) {
		if w.value != "" {
			e.Content = append(e.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: w.key},
				&yaml.Node{Kind: yaml.ScalarNode, Value: w.value, Tag: strTag})
		}
	}
	return parsePin(&e, "")
}

func pinFields(p image.Pin) []field {
	hold := ""
	if p.Hold {
		hold = strconv.FormatBool(p.Hold)
	}
	return []field{{key: pinAlias, value: p.Alias}, {key: pinImage, value: p.Image}, {key: pinTag, value: p.Tag},
		{key: pinDigest, value: p.Digest}, {key: pinHold, value: hold, bare: true}}
}

// setPin writes one pin and says which entry it is.
func setPin(data []byte, pin image.Pin) ([]byte, int, error) {
	f, err := parse(data)
	if err != nil {
		return nil, 0, err
	}
	root, err := f.root("a pin file")
	if err != nil {
		return nil, 0, err
	}
	var have []image.Pin
	if root != nil {
		if have, err = f.pins(root); err != nil {
			return nil, 0, err
		}
	}
	i := entryOf(have, pin)
	if i < 0 {
		out, err := change(data, func(f *file) (*splice, error) { return f.appendEntry(root, pinsKey, pinFields(pin)) })
		return out, len(have), err
	}
	for _, w := range pinFields(pin) {
		if w.value == "" && w.key != pinDigest && w.key != pinTag || w.key == pinImage {
			continue
		}
		if data, err = setField(data, entryPath(pinsKey, i), w); err != nil {
			return nil, 0, err
		}
	}
	return data, i, nil
}

// entryOf finds the pin whose place another one takes.
func entryOf(have []image.Pin, pin image.Pin) int {
	return slices.IndexFunc(have, func(h image.Pin) bool { return h.Alias == pin.Alias && samePinned(h.Image, pin.Image) })
}

func samePinned(a, b string) bool {
	x, errX := image.ParseImage(a)
	y, errY := image.ParseImage(b)
	return errX == nil && errY == nil && SameImage(x, y)
}

// pinsHold reads the result back.
func pinsHold(data []byte, pins []image.Pin, entries []int) error {
	f, err := ParsePins("the result", data)
	if err != nil {
		return refuse(pinsKey, 0, "cannot be edited in place: write them as a list with one key on each line")
	}
	for i, want := range pins {
		got := f.Pins[entries[i]]
		want.Image, want.Hold = got.Image, want.Hold || got.Hold
		if got != want {
			return refuse(entryPath(pinsKey, entries[i]), 0, "cannot be edited in place: write it with one key on each line")
		}
	}
	return nil
}

// OtherPinFiles are those among the names of a directory's files that are pin files of other applications, sorted.
func OtherPinFiles(names []string, app string) []string {
	var others []string
	for _, name := range names {
		if strings.HasPrefix(name, pinPrefix) && strings.HasSuffix(name, pinSuffix) && name != PinFileName(app) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return others
}
