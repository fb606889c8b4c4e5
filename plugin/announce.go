package plugin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/argoproj/argo-cd/v2/reposerver/apiclient"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

// WriteAnnouncements writes the parameter announcements as the JSON array that a stock argocd-cmp-server expects of its
// parameters.dynamic command. It uses no network.
func (g *Generator) WriteAnnouncements(w io.Writer, dir Dir, environ []string) error {
	env := map[string]string{}
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(g.announcements(dir, env))
}

// announcements describe the parameters that the application in dir can set, with the values that hold where
// plugin.parameters says nothing. Settings that are wrong are announced all the same: the form is where they get mended.
//
// Argo CD's UI (application-parameters.tsx) shows title and value, and not the tooltip. A value that it finds among the live
// plugin.parameters wins over the announced one, and announced values are never sent to the plugin.
func (g *Generator) announcements(dir Dir, env map[string]string) []*apiclient.ParameterAnnouncement {
	req, err := ParseRequest(env)
	if err != nil {
		req = Request{App: image.Application{Name: env[envAppName]}}
	}
	f := form{given: given(req.Parameters), env: req.Env, required: g.s.Defaults.WriteBackMethod == ""}
	images, definitions := f.images(), fitting(dir)
	for _, d := range definitions {
		if d.AliasOnly {
			continue
		}
		a := f.announcement(d, "")
		if d.Name == imageList {
			a.Title += g.summary(req.App, images)
		}
		f.all = append(f.all, a)
	}
	for _, l := range images {
		if l.Alias != "" {
			f.all = append(f.all, g.ofImage(req.App, l, &f, definitions)...)
		}
	}
	return f.all
}

// ofImage announces the parameters of one image; the title of its strategy carries the current choice.
func (g *Generator) ofImage(app image.Application, l image.Listed, f *form, definitions []image.Definition) []*apiclient.ParameterAnnouncement {
	var all []*apiclient.ParameterAnnouncement
	for _, d := range definitions {
		if !d.PerImage {
			continue
		}
		a := f.announcement(d, l.Alias+".")
		if d.Name == updateStrategy {
			a.Title += g.current(app, l.Image)
		}
		all = append(all, a)
	}
	return all
}

// current tells the last choice of an image. The time is absolute because Argo CD keeps the announcement for a day.
func (g *Generator) current(app image.Application, img image.Image) string {
	r, ok := g.memory.recall(app, img)
	if !ok {
		return ""
	}
	return fmt.Sprintf(" (now %s, chosen %s by %s)", r.choice.Tag, r.at.UTC().Format("2006-01-02 15:04 UTC"), r.choice.Strategy)
}

// summary tells which tagpin this is, and the last choice of every image.
func (g *Generator) summary(app image.Application, images []image.Listed) string {
	var known, facts []string
	for _, l := range images {
		if r, ok := g.memory.recall(app, l.Image); ok {
			known = append(known, cmp.Or(l.Alias, l.Image.Name())+" "+r.choice.Tag)
		}
	}
	if g.s.Version != "" {
		facts = append(facts, "tagpin "+g.s.Version)
	}
	if len(known) > 0 {
		facts = append(facts, "now "+strings.Join(known, ", "))
	}
	if len(facts) == 0 {
		return ""
	}
	return " (" + strings.Join(facts, "; ") + ")"
}

// The parameters that announcements treat in their own way.
const (
	imageList       = "image-list"
	updateStrategy  = "update-strategy"
	writeBackMethod = "write-back-method"
)

// fitting leaves out the options of the other source type. Where the type can't be told all are announced.
func fitting(dir Dir) []image.Definition {
	other := map[render.Type]string{render.Helm: "kustomize.", render.Kustomize: "helm."}
	kind, err := render.Detect(filepath.Join(dir.Root, filepath.FromSlash(dir.Path)))
	return slices.DeleteFunc(image.Definitions(), func(d image.Definition) bool {
		return err == nil && strings.HasPrefix(d.Name, other[kind])
	})
}

// A form collects announcements.
type form struct {
	given    map[string]image.Parameter // by the name without prefix
	env      map[string]string
	required bool // whether write-back-method has no default
	all      []*apiclient.ParameterAnnouncement
}

func given(parameters []image.Parameter) map[string]image.Parameter {
	byName := map[string]image.Parameter{}
	for _, p := range parameters {
		byName[strings.TrimPrefix(p.Name, image.Prefix)] = p
	}
	return byName
}

// images are those of the image-list; none when it can't be read.
func (f *form) images() []image.Listed {
	p := f.given[imageList]
	var images []image.Listed
	var err error
	switch {
	case p.Array != nil:
		images, err = image.ParseItems(p.Array)
	case p.String != nil:
		images, err = image.ParseList(*p.String)
	default:
		images, err = image.ParseList(f.env[image.EnvName(imageList)])
	}
	if err != nil {
		return nil
	}
	return images
}

func (f *form) announcement(d image.Definition, prefix string) *apiclient.ParameterAnnouncement {
	a := &apiclient.ParameterAnnouncement{
		Name:           prefix + d.Name,
		Title:          d.Title,
		Tooltip:        d.Tooltip,
		Required:       d.Name == writeBackMethod && f.required,
		ItemType:       "string",
		CollectionType: string(d.Kind),
	}
	if prefix != "" {
		a.Title = strings.TrimSuffix(prefix, ".") + ": " + d.Title
	}
	if d.Boolean {
		a.ItemType = "boolean"
	}
	if d.Default != "" {
		a.Tooltip += " Default: " + strings.TrimSuffix(d.Default, ".") + "."
	}
	f.value(a, d, prefix)
	return a
}

// value announces what holds where plugin.parameters has no entry of that name: what plugin.env says, or for one image what is
// set for all, or the default where that is a value and not a description.
func (f *form) value(a *apiclient.ParameterAnnouncement, d image.Definition, prefix string) {
	p, ok := f.setting(prefix + d.Name)
	if !ok && prefix != "" {
		p, ok = f.setting(d.Name)
	}
	switch {
	case ok && p.String != nil && d.Kind == image.ArrayKind && d.Commas:
		// The UI shows an announced array's live value only if that is an array, too.
		a.CollectionType, a.String_ = string(image.StringKind), *p.String
	case ok && p.String != nil:
		a.String_ = *p.String
	case ok:
		a.Array, a.Map = p.Array, p.Map
	case d.Kind == image.StringKind && !strings.ContainsAny(d.Default, " ,"):
		a.String_ = d.Default
	}
}

func (f *form) setting(name string) (image.Parameter, bool) {
	if p, ok := f.given[name]; ok {
		return p, true
	}
	if value := f.env[image.EnvName(name)]; value != "" {
		return image.Parameter{Name: name, String: &value}, true
	}
	return image.Parameter{}, false
}
