package migrate

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
)

// A setting is an annotation without its prefix, or the same thing said by an ImageUpdater resource.
type setting struct {
	name, value string
	// subject is what notes call it. head and line are its comments.
	subject, head, line string
}

// An updater is what argocd-image-updater was told about one application.
type updater struct {
	settings []setting
	// resource is the name of the ImageUpdater, namespace and pattern say where and which of its applicationRefs; empty with
	// annotations alone.
	resource, namespace, pattern string
	// annotations is set when the settings come from annotations.
	annotations bool
}

func (u *updater) get(name string) (string, bool) {
	for _, s := range u.settings {
		if s.name == name {
			return s.value, true
		}
	}
	return "", false
}

// readUpdater prefers an ImageUpdater, as argocd-image-updater does from v1 on, unless that defers to the annotations.
func readUpdater(in Input, app *application, r *report) (updater, error) {
	annotated := annotations(app)
	resources, err := updaters(in)
	if err != nil {
		return updater{}, err
	}
	ref, resource, err := chooseRef(resources, app)
	if err != nil {
		return updater{}, err
	}
	u := updater{settings: annotated, annotations: true}
	if ref != nil {
		u.resource, u.pattern = text(at(resource, "metadata", "name")), text(child(ref, "namePattern"))
		u.namespace = text(at(resource, "metadata", "namespace"))
		c := converter{report: r, defers: text(child(ref, "useAnnotations")) == "true"}
		c.unsupported(child(resource, "spec"), ref)
		if !c.defers {
			u.annotations = false
			if len(annotated) > 0 {
				r.tell("annotations", "the ImageUpdater %s wins over them, so they are removed without being read", u.resource)
			}
			u.settings, err = c.settings(child(resource, "spec"), ref)
		}
	}
	if _, listed := u.get("image-list"); err == nil && !listed {
		err = fmt.Errorf("argocd-image-updater does not look after it: there is no annotation %simage-list, and no ImageUpdater names it",
			image.Prefix)
	}
	return u, err
}

func annotations(app *application) []setting {
	var all []setting
	for k, v := range pairs(child(app.meta, "annotations")) {
		if name, ours := strings.CutPrefix(k.Value, image.Prefix); ours {
			all = append(all, setting{name: name, value: strings.TrimSpace(text(v)), subject: "annotation " + name,
				head: k.HeadComment, line: v.LineComment})
		}
	}
	return all
}

func updaters(in Input) ([]*yaml.Node, error) {
	var all []*yaml.Node
	for _, data := range [][]byte{in.Updater, in.Manifest} {
		docs, err := cut(data)
		if err != nil {
			return nil, fmt.Errorf("reading the ImageUpdater: %w", err)
		}
		for _, root := range docs.roots {
			if root == nil || text(child(root.Content[0], "kind")) != kindUpdater {
				continue
			}
			p, err := plain(root.Content[0])
			if err != nil {
				return nil, fmt.Errorf("reading the ImageUpdater: %w", err)
			}
			all = append(all, p)
		}
		if len(all) > 0 {
			return all, nil
		}
	}
	if len(in.Updater) > 0 {
		return nil, errors.New("the file that is given for the updater has no ImageUpdater")
	}
	return nil, nil
}

// chooseRef finds the applicationRef that names the application, the most exact one where several do.
func chooseRef(resources []*yaml.Node, app *application) (ref, resource *yaml.Node, err error) {
	best, tie := -1, false
	var patterns []string
	for _, c := range candidates(resources, app) {
		pattern := text(child(c.ref, "namePattern"))
		patterns = append(patterns, strconv.Quote(pattern))
		score, err := exactness(pattern, child(c.ref, "labelSelectors"), app)
		switch {
		case err != nil:
			return nil, nil, err
		case score > best:
			best, tie, ref, resource = score, false, c.ref, c.resource
		case score == best && score >= 0:
			tie = true
		}
	}
	switch {
	case len(resources) > 0 && ref == nil:
		return nil, nil, fmt.Errorf("no applicationRef of the ImageUpdater names %q: it has %s", app.name, strings.Join(patterns, ", "))
	case tie:
		return nil, nil, fmt.Errorf("several applicationRefs name %q equally well: keep the one that is meant", app.name)
	}
	return ref, resource, nil
}

type candidate struct{ ref, resource *yaml.Node }

// candidates are the applicationRefs of the application's namespace.
func candidates(resources []*yaml.Node, app *application) []candidate {
	var all []candidate
	for _, res := range resources {
		if ns := namespaceOf(res); ns != "" && app.namespace != "" && ns != app.namespace && !hasTemplate(app.namespace) {
			continue
		}
		for _, ref := range refs(res) {
			all = append(all, candidate{ref, res})
		}
	}
	return all
}

func namespaceOf(resource *yaml.Node) string {
	if ns := text(at(resource, "spec", "namespace")); ns != "" {
		return ns
	}
	return text(at(resource, "metadata", "namespace"))
}

func refs(resource *yaml.Node) []*yaml.Node {
	if list := at(resource, "spec", "applicationRefs"); list != nil && list.Kind == yaml.SequenceNode {
		return list.Content
	}
	return nil
}

// exactness is negative when a reference does not name the application, and otherwise grows with what it spells out.
func exactness(pattern string, selector *yaml.Node, app *application) (int, error) {
	name := template.ReplaceAllString(app.name, "x")
	matched, err := path.Match(pattern, name)
	if err != nil {
		return 0, fmt.Errorf("the applicationRef %q is no pattern: %w", pattern, err)
	}
	if pattern == template.ReplaceAllString(app.name, "*") || pattern == app.name {
		matched = true
	}
	if !matched || !selects(selector, dictionary(child(app.meta, "labels"))) {
		return -1, nil
	}
	const exact, labelled = 1000, 10_000
	score := len(pattern) - strings.Count(pattern, "*")
	if !strings.ContainsAny(pattern, "*?[") {
		score += exact
	}
	if selector != nil {
		score += labelled
	}
	return score, nil
}

// selects says whether a Kubernetes label selector fits. A label whose value is a template fits any value.
func selects(selector *yaml.Node, labels map[string]string) bool {
	for k, v := range dictionary(child(selector, "matchLabels")) {
		if have, there := labels[k]; !there || have != v && !hasTemplate(have) {
			return false
		}
	}
	list := child(selector, "matchExpressions")
	if list == nil {
		return true
	}
	return !slices.ContainsFunc(list.Content, func(e *yaml.Node) bool {
		have, there := labels[text(child(e, "key"))]
		in := there && (slices.Contains(texts(child(e, "values")), have) || hasTemplate(have))
		switch text(child(e, "operator")) {
		case "In":
			return !in
		case "NotIn":
			return in
		case "Exists":
			return !there
		case "DoesNotExist":
			return there
		}
		return true
	})
}

// A converter writes the fields of an ImageUpdater as annotations.
type converter struct {
	report *report
	// defers is set when the annotations of the application count.
	defers bool
	out    []setting
}

func (c *converter) add(name, value, field string) {
	c.out = append(c.out, setting{name: name, value: value, subject: "ImageUpdater " + field})
}

func (c *converter) settings(spec, ref *yaml.Node) ([]setting, error) {
	images := child(ref, "images")
	if images == nil || len(images.Content) == 0 {
		return nil, errors.New("the applicationRef of the ImageUpdater has no images")
	}
	var list []string
	for _, img := range images.Content {
		alias, name := text(child(img, "alias")), text(child(img, "imageName"))
		if alias == "" || name == "" {
			return nil, errors.New("an image of the ImageUpdater has no alias or no imageName: add it")
		}
		list = append(list, alias+"="+name)
	}
	c.add("image-list", strings.Join(list, ","), "images")
	for _, level := range []*yaml.Node{spec, ref} {
		c.common("", child(level, "commonUpdateSettings"))
	}
	for _, img := range images.Content {
		alias := text(child(img, "alias")) + "."
		c.common(alias, child(img, "commonUpdateSettings"))
		c.targets(alias, child(img, "manifestTargets"))
	}
	for _, level := range []*yaml.Node{spec, ref} {
		c.writeBack(child(level, "writeBackConfig"))
	}
	return c.last(), nil
}

// last keeps, of settings of one name, the last one: that of the innermost level.
func (c *converter) last() []setting {
	var kept []setting
	for i, s := range c.out {
		if !slices.ContainsFunc(c.out[i+1:], func(o setting) bool { return o.name == s.name }) {
			kept = append(kept, s)
		}
	}
	return kept
}

// common converts one commonUpdateSettings. The CRD fills in a strategy wherever there is such a section, so that it wins over
// that of an outer level even if it is not written.
func (c *converter) common(prefix string, n *yaml.Node) {
	if n == nil {
		return
	}
	if child(n, "updateStrategy") == nil {
		c.add(prefix+"update-strategy", string(image.SemVer), "updateStrategy (its default)")
	}
	for k, v := range pairs(n) {
		value := text(v)
		switch k.Value {
		case "updateStrategy":
			c.add(prefix+"update-strategy", value, k.Value)
		case "allowTags":
			c.add(prefix+"allow-tags", value, k.Value)
		case "ignoreTags":
			c.add(prefix+"ignore-tags", strings.Join(texts(v), ","), k.Value)
		case "pullSecret":
			c.add(prefix+"pull-secret", value, k.Value)
		case "platforms":
			c.add(prefix+"platforms", strings.Join(texts(v), ","), k.Value)
		case "forceUpdate":
			c.add(prefix+"force-update", value, k.Value)
		default:
			c.report.warn("ImageUpdater commonUpdateSettings."+k.Value, "it has no counterpart")
		}
	}
}

func (c *converter) targets(alias string, n *yaml.Node) {
	for k, v := range pairs(n) {
		switch k.Value {
		case "helm":
			c.helm(alias, v)
		case "kustomize":
			c.add(alias+"kustomize.image-name", text(child(v, "name")), "manifestTargets.kustomize.name")
		default:
			c.report.warn("ImageUpdater manifestTargets."+k.Value, "it has no counterpart: tagpin writes to Helm values and kustomize images")
		}
	}
}

func (c *converter) helm(alias string, n *yaml.Node) {
	if spec := text(child(n, "spec")); spec != "" {
		c.add(alias+"helm.image-spec", spec, "manifestTargets.helm.spec")
		return
	}
	for _, key := range []string{"name", "tag"} {
		if value := text(child(n, key)); value != "" {
			c.add(alias+"helm.image-"+key, value, "manifestTargets.helm."+key)
		}
	}
}

// writeBack converts one writeBackConfig, whose method has a default wherever there is such a section.
func (c *converter) writeBack(n *yaml.Node) {
	if n == nil {
		return
	}
	method := text(child(n, "method"))
	if method == "" {
		method = methodArgoCD
	}
	c.add("write-back-method", method, "writeBackConfig.method")
	for k, v := range pairs(child(n, "gitConfig")) {
		switch k.Value {
		case "repository":
			c.add("git-repository", text(v), "gitConfig.repository")
		case "branch":
			c.add("git-branch", text(v), "gitConfig.branch")
		case "writeBackTarget":
			c.add("write-back-target", text(v), "gitConfig.writeBackTarget")
		case "pullRequest":
			c.report.warn("ImageUpdater gitConfig.pullRequest", "it has no counterpart: with git-branch <base>:<branch> tagpin pushes a "+
				"proposal, and whoever hosts the repository opens the request")
		default:
			c.report.warn("ImageUpdater gitConfig."+k.Value, "it has no counterpart")
		}
	}
}

// unsupported lists the fields around the settings that have no counterpart.
func (c *converter) unsupported(levels ...*yaml.Node) {
	known := []string{"namespace", "applicationRefs", "namePattern", "labelSelectors", "images", "commonUpdateSettings",
		"writeBackConfig", "useAnnotations"}
	if images := child(levels[len(levels)-1], "images"); images != nil && !c.defers {
		levels = append(levels, images.Content...)
		known = append(known, "alias", "imageName", "manifestTargets")
	}
	for _, level := range levels {
		for _, key := range keysOf(level) {
			switch {
			case key == "imagesVerification":
				c.report.warn("ImageUpdater imagesVerification", "it has no counterpart: tagpin checks no signatures; let an admission "+
					"controller do so")
			case !slices.Contains(known, key):
				c.report.warn("ImageUpdater "+key, "it has no counterpart")
			}
		}
	}
}

// template is an expression of an ApplicationSet's template, or of argocd-image-updater's own in git-branch.
var template = regexp.MustCompile(`\{\{.*?\}\}`)

func hasTemplate(s string) bool { return template.MatchString(s) }
