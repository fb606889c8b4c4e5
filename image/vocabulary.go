package image

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Prefix may stand before every parameter's name, so that annotations of argocd-image-updater can be copied as they are.
const Prefix = "argocd-image-updater.argoproj.io/"

// application is the index that stands for the whole application where others stand for an entry of the image-list.
const application = -1

// A slot is a place for one value: a definition, for an entry of the image-list or for the application.
type slot struct {
	entry int
	def   *Definition
}

// A vocabulary is every name that means something to one application: those of Definitions, with the aliases of its
// image-list. Since it has all the full names, an alias with dots in it needs no guessing.
type vocabulary struct {
	params  map[string]slot
	env     map[string]slot
	aliases []string
	// owner is the parameter's name behind each name in env.
	owner map[string]string
}

// definitions are Definitions, made once: each check of each application looks into them.
var definitions = sync.OnceValue(Definitions)

// common is the vocabulary of an application without aliases. What it gives is cloned before something is added.
var common = sync.OnceValues(func() (vocabulary, error) {
	v := vocabulary{params: map[string]slot{}, env: map[string]slot{}, owner: map[string]string{}}
	return v, v.addAll(application, "", func(d Definition) bool { return !d.AliasOnly })
})

func newVocabulary(list []Listed) (vocabulary, error) {
	v, err := common()
	if err != nil {
		return v, err
	}
	v.params, v.env, v.owner = maps.Clone(v.params), maps.Clone(v.env), maps.Clone(v.owner)
	for i, l := range list {
		if l.Alias == "" {
			continue
		}
		v.aliases = append(v.aliases, l.Alias)
		if err := v.addAll(i, l.Alias+".", func(d Definition) bool { return d.PerImage }); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (v vocabulary) addAll(entry int, before string, applies func(Definition) bool) error {
	all := definitions()
	for i := range all {
		if !applies(all[i]) {
			continue
		}
		if err := v.add(before+all[i].Name, slot{entry, &all[i]}); err != nil {
			return err
		}
	}
	return nil
}

func (v vocabulary) add(name string, s slot) error {
	env := EnvName(name)
	if other, taken := v.owner[env]; taken {
		return fmt.Errorf("image-list: %q and %q would both be %s in plugin.env: change an alias", other, name, env)
	}
	v.params[name], v.env[env], v.owner[env] = s, s, name
	// Annotation keys cannot hold a second slash, so users of argocd-image-updater write foo_bar.… for the alias foo/bar.
	v.params[strings.ReplaceAll(name, "/", "_")] = s
	return nil
}

// EnvName is a parameter's name as an entry of plugin.env: "_" goes before an upper-case letter that follows a lower-case
// letter or a digit, every character other than a letter or digit becomes "_", and letters are made upper case.
// echo-server.helm.image-tag is ECHO_SERVER_HELM_IMAGE_TAG, helm.releaseName is HELM_RELEASE_NAME.
func EnvName(parameter string) string {
	var b strings.Builder
	var last rune
	for _, r := range parameter {
		if unicode.IsUpper(r) && (unicode.IsLower(last) || unicode.IsDigit(last)) {
			b.WriteByte('_')
		}
		last = r
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = '_'
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

// parameter finds the slot of a parameter's name.
func (v vocabulary) parameter(name string) (slot, error) {
	bare := strings.TrimPrefix(name, Prefix)
	if s, ok := v.params[bare]; ok {
		return s, nil
	}
	if bare == "tag-match" || strings.HasSuffix(bare, ".tag-match") {
		return slot{}, fmt.Errorf("parameter %q: its name is allow-tags now", name)
	}
	for _, def := range definitions() {
		if def.AliasOnly && bare == def.Name {
			return slot{}, fmt.Errorf("parameter %q belongs to one image: give it an alias in image-list, <alias>=<image>, "+
				"and write <alias>.%s", name, bare)
		}
		if alias, found := strings.CutSuffix(bare, "."+def.Name); found && def.PerImage {
			return slot{}, fmt.Errorf("parameter %q: %w", name, v.unknownAlias(alias))
		}
	}
	if near := nearest(bare, slices.Sorted(maps.Keys(v.params))); near != "" {
		return slot{}, fmt.Errorf("unknown parameter %q: did you mean %q?", shorten(name), near)
	}
	return slot{}, fmt.Errorf("unknown parameter %q: docs/parameters.md lists all that there are", shorten(name))
}

func (v vocabulary) unknownAlias(alias string) error {
	if len(v.aliases) == 0 {
		return fmt.Errorf("no image has the alias %q, since image-list has no aliases: write %s=<image> there", alias, alias)
	}
	return fmt.Errorf("no image has the alias %q: the aliases in image-list are %s", alias, strings.Join(v.aliases, ", "))
}

// environment finds the slot of an entry of plugin.env. Entries with other names are the user's own, unless they are so near
// to one of ours that they must be a slip: what a slip would leave out may be what keeps a tag from being deployed.
func (v vocabulary) environment(name string) (s slot, ours bool, err error) {
	if s, ours = v.env[name]; ours {
		return s, true, nil
	}
	for _, known := range slices.Sorted(maps.Keys(v.env)) {
		if slip(name, known) {
			return slot{}, false, fmt.Errorf("plugin.env %s is nearly %s: correct it, or rename it if it is your own", name, known)
		}
	}
	for _, def := range definitions() {
		if len(v.aliases) > 0 && distinctive(def) && strings.HasSuffix(name, "_"+EnvName(def.Name)) {
			return slot{}, false, fmt.Errorf("plugin.env %s sets %s of an image that is not there: the aliases in image-list are %s; "+
				"rename it if it is your own", name, def.Name, strings.Join(v.aliases, ", "))
		}
	}
	return slot{}, false, nil
}

// distinctive definitions have names that nobody would give to a variable of another purpose.
func distinctive(def Definition) bool {
	return def.AliasOnly || (def.PerImage && strings.HasSuffix(def.Name, "-tags"))
}

// slip says whether name differs from known by no more than a finger's error. Short names are too near to each other to tell.
func slip(name, known string) bool {
	const short, middle = 6, 8
	most := 2
	switch {
	case len(known) < short:
		return false
	case len(known) < middle:
		most = 1
	}
	return within(most, name, known)
}

// within says whether a becomes b by so many edits at most. It gives up early, which a Levenshtein distance cannot: this runs
// for every entry of plugin.env and every name.
func within(edits int, a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	switch {
	case abs(len(a)-len(b)) > edits:
		return false
	case a == "" || b == "":
		return true
	case edits == 0:
		return false
	}
	return within(edits-1, a[1:], b[1:]) || within(edits-1, a[1:], b) || within(edits-1, a, b[1:])
}
