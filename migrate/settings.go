package migrate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// The parameters that the migration has to understand.
const (
	listName       = "image-list"
	strategyName   = "update-strategy"
	methodName     = "write-back-method"
	targetName     = "write-back-target"
	branchName     = "git-branch"
	pullSecretName = "pull-secret"
	withoutPinName = "without-pin"
	forceName      = "force-update"
	platformsName  = "platforms"
	allowName      = "allow-tags"
	helmName       = "helm.image-name"
	helmTag        = "helm.image-tag"
	helmSpec       = "helm.image-spec"
	kustomizeName  = "kustomize.image-name"

	methodArgoCD = "argocd"
	methodNone   = "none"
	headRevision = "HEAD"
)

// What argocd-image-updater takes for helm.image-name and helm.image-tag (pkg/common/constants.go there).
const (
	upstreamName = "image.name"
	upstreamTag  = "image.tag"
)

// settings turns what the updater was told into parameters, and writes out what it implied.
func (f *forward) settings() error {
	value, _ := f.updater.get(listName)
	list, err := parseListed(value)
	if err != nil {
		return err
	}
	if f.source.kind == kindHelm {
		for _, alias := range nameImages(list) {
			f.report.tell(listName, "the alias %s is new: it is needed to say which Helm values the image has", alias)
		}
	}
	f.listed = list
	f.list(value, list)
	aliases := aliasesOf(list)
	for _, s := range modern(f.updater.settings, &f.report) {
		if s.name != listName {
			if err := f.setting(s, aliases); err != nil {
				return err
			}
		}
	}
	f.strategies(aliases)
	if f.source.kind == kindHelm {
		f.helmTargets(aliases)
	}
	if err := f.writeBack(); err != nil {
		return err
	}
	order(f.params, aliases)
	return nil
}

func (f *forward) list(value string, list []listed) {
	var items []string
	for _, l := range list {
		items = append(items, l.String())
	}
	p := parameter{Parameter: image.Parameter{Name: listName, Array: items}}
	if hasTemplate(value) {
		p = stringParameter(listName, strings.Join(items, ","))
	}
	for _, s := range f.updater.settings {
		if s.name == listName {
			p.head, p.line = s.head, s.line
		}
	}
	f.params = append(f.params, p)
}

// modern replaces the old names of settings. The new name wins where both are there.
func modern(settings []setting, r *report) []setting {
	var out []setting
	for _, s := range settings {
		for old, now := range map[string]string{"tag-match": allowName, "sort-mode": strategyName} {
			prefix, is := strings.CutSuffix(s.name, old)
			if !is || prefix != "" && !strings.HasSuffix(prefix, ".") {
				continue
			}
			s.name = prefix + now
			r.tell(s.subject, "its name is %s now", s.name)
			if slices.ContainsFunc(settings, func(o setting) bool { return o.name == s.name }) {
				s.name = ""
			}
		}
		if s.name != "" {
			out = append(out, s)
		}
	}
	return out
}

// upstreamOnlyPerImage are settings that argocd-image-updater reads with an alias only.
var upstreamOnlyPerImage = []string{platformsName}

func (f *forward) setting(s setting, aliases []string) error {
	alias, def, known := definition(s.name, aliases)
	switch {
	case !known:
		f.report.warn(s.subject, "it is left out: it means nothing to argocd-image-updater either (the aliases are %s)", strings.Join(aliases, ", "))
		return nil
	case alias == "" && f.updater.annotations && slices.Contains(upstreamOnlyPerImage, def.Name):
		f.report.warn(s.subject, "it is left out: argocd-image-updater reads it with an alias only. Add it if you want it to count")
		return nil
	case strings.HasPrefix(def.Name, "helm.image-") && f.source.kind != kindHelm, def.Name == kustomizeName && f.source.kind != kindKustomize:
		f.report.warn(s.subject, "it is left out: the source is rendered with %s", f.source.kind)
		return nil
	case s.value == "":
		f.report.tell(s.subject, "it is empty, and left out")
		return nil
	}
	value, err := f.value(s, def)
	if err != nil || value == "" {
		return err
	}
	p := toParameter(s.name, value, def)
	if p.Array != nil && len(p.Array) == 0 {
		return nil
	}
	p.head, p.line = s.head, s.line
	f.params = append(f.params, p)
	return nil
}

// value converts where the two mean different things by the same words. An empty result leaves the setting out.
func (f *forward) value(s setting, def image.Definition) (string, error) {
	switch def.Name {
	case forceName:
		b, err := strconv.ParseBool(s.value)
		if err != nil {
			return "", fmt.Errorf("%s: %q is neither true nor false", s.subject, s.value)
		}
		f.report.tell(s.subject, "it is kept, but has no effect: nothing here depends on which images run")
		return strconv.FormatBool(b), nil
	case pullSecretName:
		return f.pullSecret(s), nil
	case kustomizeName:
		if img, err := image.ParseImage(s.value); err == nil {
			return img.Name(), nil
		}
	case allowName:
		if strings.EqualFold(s.value, "any") {
			return "any", nil
		}
	}
	return s.value, nil
}

func (f *forward) pullSecret(s setting) string {
	kind, _, _ := strings.Cut(strings.ToLower(s.value), ":")
	if kind == "env" || kind == "ext" {
		f.report.warn(s.subject, "%s: belongs into the operator's registries.conf, as credentials of the registry: applications can't name "+
			"what the sidecar reads or runs", kind)
		return ""
	}
	f.report.tell(s.subject, "the operator must bind %s to the registry in tagpin.yaml", s.value)
	return s.value
}

func (f *forward) has(name string) bool { return f.get(name) != "" }

// get is the text of a string parameter.
func (f *forward) get(name string) string {
	for _, p := range f.params {
		if p.Name == name && p.String != nil {
			return *p.String
		}
	}
	return ""
}

func (f *forward) set(name, value string) {
	f.params = slices.DeleteFunc(f.params, func(p parameter) bool { return p.Name == name })
	if value != "" {
		f.params = append(f.params, stringParameter(name, value))
	}
}

// strategies writes the strategy of images that have none of their own.
func (f *forward) strategies(aliases []string) {
	if f.has(strategyName) {
		return
	}
	for _, a := range aliases {
		if !f.has(a+"."+strategyName) && !f.has(annotationAlias(a)+"."+strategyName) {
			f.set(strategyName, string(image.SemVer))
		}
	}
	if len(aliases) == 0 {
		f.set(strategyName, string(image.SemVer))
	}
}

// helmTargets writes the values that an image goes to: those of argocd-image-updater where none are named.
func (f *forward) helmTargets(aliases []string) {
	for _, a := range aliases {
		prefix := a + "."
		if short := annotationAlias(a) + "."; f.has(short+helmName) || f.has(short+helmTag) || f.has(short+helmSpec) {
			prefix = short
		}
		f.helmTarget(prefix)
	}
}

func (f *forward) helmTarget(prefix string) {
	for _, t := range [][2]string{{helmName, upstreamName}, {helmTag, upstreamTag}} {
		name := prefix + t[0]
		switch {
		case f.has(prefix+helmSpec) && f.has(name):
			f.report.tell(name, "it is left out: %s wins over it", helmSpec)
			f.set(name, "")
		case !f.has(prefix+helmSpec) && !f.has(name):
			f.report.tell(name, "argocd-image-updater's default %s is written out", t[1])
			f.set(name, t[1])
		}
	}
}

func (f *forward) writeBack() error {
	f.method = f.get(methodName)
	switch {
	case f.in.WriteBackMethod != "":
		f.method = f.in.WriteBackMethod
	case f.method == "" || f.method == methodArgoCD:
		return errors.New("its write-back-method is argocd, which has no counterpart, since it leaves no trace in Git. Choose one with --write-back-method: " +
			"git:secret:<namespace>/<name> (a Secret with credentials for pushing), git (the credentials that Argo CD has for the " +
			"repository) or none (the newest tag is found at each render, and Git does not say what runs)")
	}
	if name, bare := strings.CutPrefix(f.method, "git:secret:"); bare && !strings.Contains(name, "/") {
		namespace := f.app.namespace
		if namespace == "" {
			namespace = "argocd"
			f.report.warn(methodName, "the Secret %s is taken to be in the namespace argocd: correct it if the updater runs elsewhere", name)
		}
		f.method = "git:secret:" + namespace + "/" + name
	}
	f.set(methodName, f.method)
	if strings.HasPrefix(f.method, "git:secret:") {
		f.report.tell(methodName, "the operator must bind %s to the repository in tagpin.yaml", strings.TrimPrefix(f.method, "git:"))
	}
	f.writeBackTarget()
	if f.method == methodNone {
		return nil
	}
	return f.branch()
}

func (f *forward) writeBackTarget() {
	f.target = f.get(targetName)
	kind, where, _ := strings.Cut(f.target, ":")
	switch {
	case f.target == "":
	case kind != "helmvalues" && kind != "kustomization":
		f.report.warn(targetName, "a file of overrides named %s has no counterpart: the pins go to %s", f.target, overrideName(f.app.name))
		f.target = ""
		f.set(targetName, "")
	case strings.HasPrefix(where, "/") || slices.Contains(strings.Split(where, "/"), ".."):
		f.report.warn(targetName, "%s lies outside of the application's path, or may do so: the operator must bind it, and Argo CD may not render "+
			"a commit there (manifest-generate-paths)", where)
	}
}

// notBranch are target revisions that are no branch for certain.
var notBranch = regexp.MustCompile(`^(refs/(tags|pull|merge-requests)/.*|[0-9a-f]{40}|[0-9a-f]{64}|.*[*^~<>=].*)$`)

const branchRef = "refs/heads/"

// branch writes out that argocd-image-updater commits to the target revision, while tagpin without git-branch follows the
// default branch only.
func (f *forward) branch() error {
	if text(child(f.source.node, "chart")) != "" {
		return nil // its revision is a version
	}
	revision := strings.TrimPrefix(f.source.revision(), branchRef)
	base, write, proposes := strings.Cut(f.get(branchName), ":")
	base = strings.TrimPrefix(base, branchRef)
	if proposes && write == "" {
		return fmt.Errorf("%s: %q names no branch to write after the colon", branchName, f.get(branchName))
	}
	if proposes {
		f.report.warn(branchName, "the branch %s must begin with the prefix that the operator allows for proposals (tagpin/ by default)", write)
	}
	switch {
	case revision == "" || revision == headRevision:
		return nil
	case hasTemplate(revision):
	case notBranch.MatchString(revision):
		f.report.warn(f.source.field+".targetRevision", "%s is no branch: nothing will be written until it is one", revision)
		return nil
	case base != "" && base != revision && !hasTemplate(base):
		f.report.warn(branchName, "nothing will be written while the application follows %s and %s names %s: make them equal", revision, branchName, base)
	}
	if base == "" {
		f.set(branchName, strings.TrimSuffix(revision+":"+write, ":"))
		f.report.tell(branchName, "argocd-image-updater's default, the target revision %s, is written out", revision)
	}
	return nil
}

// check reads the parameters as the plugin will.
func (f *forward) check() error {
	o, err := parseOptions(f.params, &f.report)
	if err != nil {
		return fmt.Errorf("what it says is not valid for tagpin: %w", err)
	}
	f.options = o
	return nil
}

// platforms tells where argocd-image-updater implied the platform that it runs on itself.
func (f *forward) platforms() error {
	for i, e := range f.options.Images {
		if s := e.Policy.Strategy; len(e.Policy.Platforms) == 0 && (s == image.NewestBuild || s == image.Digest) {
			f.report.tell("image "+f.listed[i].rest, "argocd-image-updater looked for the platform that it ran on, tagpin takes any: set platforms "+
				"if that matters")
		}
	}
	return nil
}

// safety makes sure that nothing older than what runs is rendered where it is not known what runs.
func (f *forward) safety() error {
	if f.target != "" || f.method == methodNone || len(f.in.Directories) > 0 && !f.app.isSet() {
		return nil
	}
	if f.updater.wroteSpec() && !f.app.isSet() {
		return nil
	}
	f.set(withoutPinName, string(image.WithoutPinRefuse))
	order(f.params, aliasesOf(f.listed))
	why := "without the source directory it is not known which tags run"
	if f.app.isSet() {
		why = "which tags run is up to the applications that are generated, and each needs its pins"
	}
	f.report.warn(withoutPinName, "%s, so an image without a pin is refused rather than rendered with an older tag: remove this parameter "+
		"when the pins are committed", why)
	return nil
}

// wroteSpec says whether the updater wrote its choices into the Application itself.
func (u *updater) wroteSpec() bool {
	m, _ := u.get(methodName)
	return m == "" || m == methodArgoCD
}
