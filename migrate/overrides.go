package migrate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/edit"
)

// Argo CD merges the file for all applications of a directory first, and then the one of the application.
const (
	overrideStem = ".argocd-source"
	overrideAll  = overrideStem + ".yaml"
)

// overrideName is the name of an application's own file.
func overrideName(app string) string { return edit.PinFileName(app) }

// An override is a file of one of the directories.
type override struct {
	path string
	data []byte
	// root is nil for an empty file.
	root *yaml.Node
}

func readOverride(d Directory, name string) (override, error) {
	o := override{path: path.Join(d.Path, name), data: d.Files[name]}
	document, err := parse(o.data)
	if err != nil {
		return o, fmt.Errorf("%s: %w", o.path, err)
	}
	if document == nil {
		return o, nil
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return o, fmt.Errorf("%s: it is no mapping, so Argo CD cannot read it either", o.path)
	}
	o.root, err = plain(document.Content[0])
	return o, err
}

// instanceNames are the names under which Argo CD may know the application, the likelier first: that of an application outside
// of Argo CD's own namespace has it in front.
func instanceNames(app *application) []string {
	plain := []string{app.name}
	if app.namespace == "" || hasTemplate(app.namespace) {
		return plain
	}
	long := app.namespace + "_" + app.name
	if app.namespace == "argocd" {
		return append(plain, long)
	}
	return []string{long, app.name}
}

// overrides lays the files of the repository over the source, as Argo CD does, and turns what the updater chose into pins.
func (f *forward) overrides() error {
	block, err := plain(child(f.source.node, f.source.kind))
	if err != nil {
		return err
	}
	if block == nil || block.Kind != yaml.MappingNode {
		block = mapping()
	}
	if f.app.isSet() {
		f.block = block
		return f.overridesOfSet()
	}
	own := chosen(f.source.kind, block)
	dir, name := f.place()
	var file override
	for _, n := range []string{overrideAll, name} {
		if _, there := dir.Files[n]; !there {
			continue
		}
		if file, err = readOverride(dir, n); err != nil {
			return err
		}
		f.lay(block, file)
		if n == overrideAll {
			f.sharedFile(file)
		}
	}
	f.hidden(own, block)
	pins := f.pins(block)
	f.block = block
	if file.path != path.Join(dir.Path, name) {
		file = override{path: path.Join(dir.Path, name)}
	}
	return f.file(file, pins)
}

// place is the directory of the source and the name of the application's file in it.
func (f *forward) place() (Directory, string) {
	dir := Directory{Path: text(child(f.source.node, "path"))}
	if len(f.in.Directories) > 0 {
		dir = f.in.Directories[0]
	}
	names := instanceNames(f.app)
	for _, n := range names {
		if _, there := dir.Files[overrideName(n)]; there {
			return dir, overrideName(n)
		}
	}
	return dir, overrideName(names[0])
}

func (f *forward) lay(block *yaml.Node, file override) {
	for _, section := range keysOf(file.root) {
		switch section {
		case f.source.kind:
			f.stays = true
			overlay(block, child(file.root, section))
		case kindHelm, kindKustomize, "directory":
			f.stays = true
			f.report.warn(file.path, "its section %s is for another kind of source, and Argo CD refuses a plugin with it: remove it", section)
		case "plugin":
			f.report.warn(file.path, "its section plugin replaces the parameters of the Application: remove it")
		}
	}
}

func (f *forward) sharedFile(file override) {
	if child(file.root, kindHelm) != nil || child(file.root, kindKustomize) != nil {
		f.report.warn(file.path, "it is for all applications of the directory, and what it says has been taken into the parameters; but "+
			"Argo CD refuses a plugin as long as it is there: migrate all of them together")
		f.shared = file.path
	}
}

// listField is the list of a section that holds what the updater chose, and what names its items.
func listField(kind string) (field string, id func(*yaml.Node) string) {
	if kind == kindHelm {
		return "parameters", func(n *yaml.Node) string { return text(child(n, "name")) }
	}
	return "images", func(n *yaml.Node) string { return replaced(text(n)) }
}

// chosen are the names in that list.
func chosen(kind string, block *yaml.Node) []string {
	field, id := listField(kind)
	var all []string
	if list := child(block, field); list != nil {
		for _, n := range list.Content {
			all = append(all, id(n))
		}
	}
	return all
}

// hidden tells what the Application says in vain: a list in the file replaces the whole list of the Application.
func (f *forward) hidden(own []string, block *yaml.Node) {
	field, _ := listField(f.source.kind)
	left := chosen(f.source.kind, block)
	for _, name := range own {
		if !slices.Contains(left, name) {
			f.report.warn(fmt.Sprintf("%s.%s.%s %s", f.source.field, f.source.kind, field, name), "it is left out, since it has no effect today: "+
				"the list in %s replaces that of the Application. Add it if you want it to count", overrideStem+"….yaml")
		}
	}
}

// pins takes what the updater chose out of a section.
func (f *forward) pins(block *yaml.Node) []image.Pin {
	if f.method == methodNone {
		f.report.tell(methodName, "with none the newest allowed tag is rendered at once, and nothing is pinned")
		return nil
	}
	var pins []image.Pin
	for i, entry := range f.options.Images {
		m := managed{entry: entry, listed: f.listed[i], report: &f.report}
		pin := m.pin(f.source.kind, block)
		if pin == nil {
			continue
		}
		if f.target != "" {
			f.report.warn("image "+pin.Image, "today the tag %s of the source's parameters wins over what %s says, and with tagpin it will not: "+
				"make them equal first", pin.Tag, f.target)
			continue
		}
		pins = append(pins, *pin)
		m.take(f.source.kind, block)
	}
	return pins
}

// file adds the two stages of a pin file.
func (f *forward) file(o override, pins []image.Pin) error {
	old := child(o.root, kindHelm) != nil || child(o.root, kindKustomize) != nil
	if !old && len(pins) == 0 {
		return nil
	}
	out := File{Path: o.path}
	both := o.data
	if len(pins) > 0 {
		var err error
		if both, err = edit.SetPins(o.data, pins); err != nil {
			return fmt.Errorf("%s: %w", o.path, err)
		}
		out.Before = both
	}
	after, err := without(both, kindHelm, kindKustomize)
	if err != nil {
		return fmt.Errorf("%s: %w", o.path, err)
	}
	if out.After = after; !old {
		out.After = both
	}
	f.files = append(f.files, out)
	return nil
}

// without removes sections from a file. The result is nil when nothing is left.
func without(data []byte, sections ...string) ([]byte, error) {
	document, err := parse(data)
	if err != nil || document == nil {
		return nil, err
	}
	root := document.Content[0]
	for _, s := range sections {
		remove(root, s)
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	out, err := encode(document, true)
	if err != nil {
		return nil, err
	}
	if _, err := parse(out); err != nil {
		return nil, fmt.Errorf("an anchor in its section %s is used elsewhere: write it without", strings.Join(sections, " or "))
	}
	return out, nil
}

// overridesOfSet makes the pin files of the applications that an ApplicationSet generates. The template keeps what it says,
// as the base for applications that have no file yet.
func (f *forward) overridesOfSet() error {
	return f.app.eachOverride(f.in.Directories, func(dir Directory, name string) error {
		file, err := readOverride(dir, name)
		if err != nil {
			return err
		}
		block, err := plain(f.block)
		if err != nil {
			return err
		}
		f.lay(block, file)
		if name == overrideAll {
			f.sharedFile(file)
			return nil
		}
		pins := f.pins(block)
		f.foreign(file, block)
		return f.file(file, pins)
	})
}

// eachOverride visits the files that can concern the applications of a set.
func (a *application) eachOverride(dirs []Directory, visit func(Directory, string) error) error {
	for _, dir := range dirs {
		for _, name := range sorted(dir.Files) {
			if name != overrideAll && !a.generates(name) {
				continue
			}
			if err := visit(dir, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// generates says whether a file can be that of an application of the set.
func (a *application) generates(file string) bool {
	for _, name := range instanceNames(a) {
		if ok, err := path.Match(overrideName(template.ReplaceAllString(name, "*")), file); ok && err == nil {
			return true
		}
	}
	return false
}

// foreign tells what a file says beside the updater's choices, which one template cannot say for one application.
func (f *forward) foreign(file override, block *yaml.Node) {
	field, _ := listField(f.source.kind)
	base := chosen(f.source.kind, f.block)
	for _, name := range chosen(f.source.kind, block) {
		if !slices.Contains(base, name) {
			f.report.warn(file.path, "it sets %s, which the updater does not manage: put it into a file of values, or into the template", name)
		}
	}
	for _, key := range keysOf(child(file.root, f.source.kind)) {
		if key != field {
			f.report.warn(file.path, "it sets %s.%s: put it into a file of values, or into the template", f.source.kind, key)
		}
	}
}
