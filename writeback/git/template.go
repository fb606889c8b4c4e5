package git

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

// DefaultMessage is the commit message's template when the operator gives none. Its subject is argocd-image-updater's.
const DefaultMessage = `build: automatic update of {{ .AppName }}

{{ range .AppChanges -}}
{{ if .OldTag }}updates image {{ .Image }} tag '{{ .OldTag }}' to '{{ .NewTag }}'
{{- else }}pins image {{ .Image }} to tag '{{ .NewTag }}'{{ end }}
{{- with .Strategy }} (newest by {{ . }}{{ end }}{{ with .Constraint }}{{ if ne . "*" }}, {{ . }}{{ end }}{{ end }}{{ if .Strategy }}){{ end }}
{{ end -}}
`

// maxTemplated bounds what a template may write.
const maxTemplated = 32 << 10

// maxBranch is what argocd-image-updater cuts branch names to, in bytes.
const maxBranch = 255

// A Template makes the text of a commit message, or the name of a branch, from changes. It is a Go text/template.
type Template struct {
	parsed *template.Template
	branch bool
}

// The data of both templates. Names are argocd-image-updater's; Image and Name are the repository without its registry.
type (
	messageData struct {
		AppName, AppNamespace string
		AppChanges            []changeData
	}
	branchData struct {
		AppName, AppNamespace string
		Images                []imageData
		SHA256                string
	}
	changeData struct {
		Image, Alias, OldTag, NewTag   string
		Registry, Strategy, Constraint string
		Tag, Digest                    string
		PreviousTag, PreviousDigest    string
		Labels                         map[string]string
	}
	imageData struct{ Name, Alias, OldTag, NewTag string }
)

// ParseMessage reads the operator's template of commit messages; an unknown field or function is an error.
func ParseMessage(text string) (*Template, error) {
	return parseTemplate("commit message", text, false)
}

// ParseBranch reads the template of a branch name.
func ParseBranch(text string) (*Template, error) { return parseTemplate("branch name", text, true) }

func parseTemplate(name, text string, branch bool) (*Template, error) {
	parsed, err := template.New(name).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the template of the %s: %w", name, err)
	}
	t := &Template{parsed, branch}
	sample := Change{Application: "ns_app", Image: "registry.example.com/team/app", Alias: "app", Tag: "v2", PreviousTag: "v1", Strategy: "semver", Constraint: "^1"}
	if _, err := t.run(sample.Application, []Change{sample}); err != nil {
		return nil, err
	}
	return t, nil
}

// UsesLabels says whether labels of images can be in the text.
func (t *Template) UsesLabels() bool { return strings.Contains(t.parsed.Root.String(), ".Labels") }

// Message is the text for a commit that holds the changes of one application. What it inserts has no line breaks.
func (t *Template) Message(application string, changes []Change) (string, error) {
	text, err := t.run(application, changes)
	if err == nil && strings.TrimSpace(text) == "" {
		err = errors.New("the template of the commit message gives an empty text")
	}
	return text, err
}

// Branch is the name of a branch, cut to 255 bytes; a name that git refuses is an error.
func (t *Template) Branch(application string, changes []Change) (string, error) {
	name, err := t.run(application, changes)
	if err != nil {
		return "", err
	}
	if name = strings.TrimSpace(name); len(name) > maxBranch {
		for name = name[:maxBranch]; !utf8.ValidString(name); {
			name = name[:len(name)-1]
		}
	}
	return name, CheckBranch(name)
}

func (t *Template) run(application string, changes []Change) (string, error) {
	var data any
	if t.branch {
		data = branchOf(application, changes)
	} else {
		data = messageOf(application, changes)
	}
	out := &templated{}
	if err := t.parsed.Execute(out, data); err != nil {
		return "", fmt.Errorf("the template of the %s: %w", t.parsed.Name(), err)
	}
	text := strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(strings.ReplaceAll(out.buffer.String(), "\r\n", "\n"), "?"))
	return text, nil
}

// templated stops a template that writes too much.
type templated struct{ buffer bytes.Buffer }

func (b *templated) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > maxTemplated {
		return 0, fmt.Errorf("it gives more than %d bytes", maxTemplated)
	}
	return b.buffer.Write(p)
}

func messageOf(application string, changes []Change) messageData {
	namespace, name := splitApplication(application)
	data := messageData{AppName: name, AppNamespace: namespace}
	for _, c := range changes {
		registry, repository := splitImage(c.Image)
		d := changeData{
			Image: clean(repository), Registry: clean(registry), Alias: clean(c.Alias), Strategy: clean(c.Strategy), Constraint: clean(c.Constraint),
			Tag: clean(c.Tag), Digest: clean(c.Digest), PreviousTag: clean(c.PreviousTag), PreviousDigest: clean(c.PreviousDigest), Labels: map[string]string{},
		}
		d.OldTag, d.NewTag = c.shown()
		for key, value := range c.Labels {
			d.Labels[clean(key)] = clean(value)
		}
		data.AppChanges = append(data.AppChanges, d)
	}
	return data
}

func branchOf(application string, changes []Change) branchData {
	namespace, name := splitApplication(application)
	data := branchData{AppName: name, AppNamespace: namespace}
	hash := sha256.New()
	for _, c := range changes {
		_, repository := splitImage(c.Image)
		d := imageData{Name: clean(repository), Alias: clean(c.Alias)}
		d.OldTag, d.NewTag = c.shown()
		data.Images = append(data.Images, d)
		fmt.Fprintf(hash, "%s-%s-%s,", d.Name, d.OldTag, d.NewTag)
	}
	data.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return data
}

// shown are the old and the new tag, or the digests where the tag is the same or there is none.
func (c Change) shown() (before, after string) {
	before, after = clean(c.PreviousTag), clean(c.Tag)
	if after == "" || before == after && c.Digest != "" {
		return clean(c.PreviousDigest), clean(c.Digest)
	}
	return before, after
}

// splitApplication takes "ns_app" apart; an application's own name has no underscore.
func splitApplication(application string) (namespace, name string) {
	namespace, name, ok := strings.Cut(clean(application), "_")
	if !ok {
		return "", namespace
	}
	return namespace, name
}

// splitImage takes the registry off: the first part, if it looks like a host (the rule of container references).
func splitImage(image string) (registry, repository string) {
	first, rest, ok := strings.Cut(image, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return "", image
}

// clean makes one line of a text from outside.
func clean(text string) string {
	const most = 1024
	if len(text) > most {
		text = text[:most]
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
}
