package image

// A Kind says which of a Parameter's values is used.
type Kind string

// The kinds, in Argo CD's words (collectionType of a parameter announcement).
const (
	StringKind Kind = "string"
	ArrayKind  Kind = "array"
	MapKind    Kind = "map"
)

// A Definition describes one parameter of the vocabulary. The table of them drives parsing, the form in Argo CD's UI, the
// hints in errors and docs/parameters.md.
type Definition struct {
	// Name is the parameter's name without prefix and alias, e.g. "allow-tags".
	Name string
	// Title and Tooltip are for the form; the tooltip is one or two sentences.
	Title, Tooltip string
	Kind           Kind
	// PerImage parameters may carry "<alias>." in front; without it they hold for all images of the application.
	PerImage bool
	// AliasOnly parameters mean nothing without "<alias>." in front.
	AliasOnly bool
	// Boolean strings are "true" or "false".
	Boolean bool
	// Commas makes a string of comma-separated items acceptable for an array.
	Commas bool
	// Default says in words or literally what holds when nothing is set; may be empty.
	Default string

	// check validates a string, or each item of an array. Nil means that any value will do, the empty one included.
	check func(string) error
	// option or setting gives the field that a value goes to (see store). Both nil: accepted without effect.
	option  func(*Options) any
	setting func(*draft) any
}

// A draft is an Entry in the making.
type draft struct {
	Entry
	spec PolicySpec
}

// Definitions is the whole vocabulary: what concerns images first, then the application, then rendering.
func Definitions() []Definition {
	var all []Definition
	for _, part := range [][]Definition{
		imageDefinitions(), targetDefinitions(), applicationDefinitions(), helmDefinitions(), kustomizeDefinitions(),
	} {
		all = append(all, part...)
	}
	return all
}

// imageList is the parameter that has to be read before all others, since it says which aliases there are.
const imageList = "image-list"

func imageDefinitions() []Definition {
	return []Definition{
		{Name: imageList, Kind: ArrayKind, Commas: true, Title: "Images",
			Tooltip: "The images to keep up to date: [<alias>=]<image>[:<constraint>], for example web=registry.example.com/team/web:~1.2. " +
				"One per item, or separated by commas in one string.",
			Default: "no image: the application is rendered as it is"},
		{Name: "update-strategy", Kind: StringKind, PerImage: true, Title: "Update strategy", Default: string(SemVer),
			Tooltip: "How the newest tag is found: semver (highest version), newest-build (build date; also called latest), " +
				"alphabetical (also called name), numerical, newest-push (date of the push), or digest (follow one tag).",
			check:   func(s string) error { _, err := ParseStrategy(s); return err },
			setting: func(d *draft) any { return &d.spec.Strategy }},
		{Name: "allow-tags", Kind: StringKind, PerImage: true, Title: "Allowed tags", Default: "any",
			Tooltip: "Which tags may be chosen: any, or regexp:<expression>. The expression (RE2) may match anywhere in the tag unless " +
				"it has ^ and $.",
			check:   func(s string) error { _, err := ParseAllowTags(s); return err },
			setting: func(d *draft) any { return &d.spec.AllowTags }},
		{Name: "ignore-tags", Kind: ArrayKind, Commas: true, PerImage: true, Title: "Ignored tags", Default: "none",
			Tooltip: "Tags that are never chosen, as patterns with *, ? and [a-z], for example latest or *-rc*.",
			check:   validGlob, setting: func(d *draft) any { return &d.spec.IgnoreTags }},
		{Name: "extract-tags", Kind: StringKind, PerImage: true, Title: "Compared part of the tag", Default: "the whole tag",
			Tooltip: "What is compared instead of the whole tag, made of the groups of allow-tags: $ts with " +
				"regexp:^main-(?P<ts>[0-9]+)$ compares the number only.",
			check: nonEmpty, setting: func(d *draft) any { return &d.spec.ExtractTags }},
		{Name: "platforms", Kind: ArrayKind, Commas: true, PerImage: true, Title: "Platforms", Default: "any",
			Tooltip: "Platforms that the image must offer, all of them, as os/architecture[/variant]: linux/amd64, linux/arm/v7.",
			check:   func(s string) error { _, err := ParsePlatform(s); return err },
			setting: func(d *draft) any { return &d.spec.Platforms }},
		{Name: "min-age", Kind: StringKind, PerImage: true, Title: "Minimum age", Default: "0",
			Tooltip: "How long a tag must have existed before it is chosen: 30m, 36h, 7d.",
			check:   func(s string) error { _, err := ParseAge(s); return err },
			setting: func(d *draft) any { return &d.spec.MinAge }},
		{Name: "pin-digest", Kind: StringKind, Boolean: true, PerImage: true, Title: "Pin the digest", Default: no,
			Tooltip: "true: manifests name the image by tag and digest, so that a tag that is moved later changes nothing.",
			check:   validBool, setting: func(d *draft) any { return &d.spec.PinDigest }},
		{Name: "pull-secret", Kind: StringKind, PerImage: true, Title: "Registry credentials",
			Tooltip: "Credentials for asking the registry, where the operator allows it: pullsecret:<namespace>/<name>, or " +
				"secret:<namespace>/<name>#<field>.",
			Default: "those of the registry in registries.conf",
			check:   validPullSecret, setting: func(d *draft) any { return &d.PullSecret }},
		{Name: "hold", Kind: StringKind, Boolean: true, PerImage: true, Title: "Hold updates", Default: no,
			Tooltip: "true stops updates: of one image with its alias, of all images without. The pinned tags stay.",
			check:   validBool, option: func(o *Options) any { return &o.Hold }, setting: func(d *draft) any { return &d.Hold }},
		{Name: "force-update", Kind: StringKind, Boolean: true, PerImage: true, Title: "Force update", Default: no,
			Tooltip: "Accepted so that settings of argocd-image-updater can be kept; it has no effect, since nothing here depends on " +
				"which images are running.",
			check: validBool},
	}
}

func targetDefinitions() []Definition {
	return []Definition{
		{Name: "helm.image-name", Kind: StringKind, PerImage: true, AliasOnly: true, Title: "Helm value for the image name",
			Tooltip: "Path of the chart's value that holds registry and repository, for example image.repository.",
			Default: "image.repository, when no helm.image-… is set",
			check:   validValuePath, setting: func(d *draft) any { return &d.Helm.Name }},
		{Name: "helm.image-tag", Kind: StringKind, PerImage: true, AliasOnly: true, Title: "Helm value for the image tag",
			Tooltip: "Path of the chart's value that holds the tag, for example image.tag.",
			Default: "image.tag, when no helm.image-… is set",
			check:   validValuePath, setting: func(d *draft) any { return &d.Helm.Tag }},
		{Name: "helm.image-spec", Kind: StringKind, PerImage: true, AliasOnly: true, Title: "Helm value for the whole image",
			Tooltip: "Path of the chart's value that holds name and tag together, for example image. Not together with the other two.",
			check:   validValuePath, setting: func(d *draft) any { return &d.Helm.Spec }},
		{Name: "kustomize.image-name", Kind: StringKind, PerImage: true, AliasOnly: true, Title: "Image name in the kustomization",
			Tooltip: "The image name in the manifests that is replaced, where it differs from the image of the image-list.",
			Default: "the image's own name",
			check:   validKustomizeName, setting: func(d *draft) any { return &d.Kustomize.Name }},
	}
}

func applicationDefinitions() []Definition {
	return []Definition{
		{Name: "write-back-method", Kind: StringKind, Title: "Write-back method",
			Tooltip: "Where choices are recorded: git (with the credentials that Argo CD has for the repository), " +
				"git:secret:<namespace>/<name>, or none (the newest tag is found at each render, and Git does not say what runs).",
			Default: "what the operator has set; an error if nothing is",
			check:   func(s string) error { _, err := parseMethod(s); return err },
			option:  func(o *Options) any { return &o.WriteBack.Method }},
		{Name: "write-back-target", Kind: StringKind, Title: "Write-back target",
			Tooltip: "The file that records the choices: helmvalues[:<file>] or kustomization[:<directory>], relative to the " +
				"application's path.",
			Default: "the pin file .argocd-source-<application>.yaml",
			check:   validTarget, option: func(o *Options) any { return &o.WriteBack.Target }},
		{Name: "git-branch", Kind: StringKind, Title: "Git branch",
			Tooltip: "Branch that is read and written, <base>, or <base>:<branch to write>.",
			Default: "the target revision, if that is a branch",
			check:   validBranch, option: func(o *Options) any { return &o.WriteBack.Branch }},
		{Name: "git-repository", Kind: StringKind, Title: "Git repository",
			Tooltip: "URL of the repository to write to, without credentials.",
			Default: "the application's repository",
			check:   validRepository, option: func(o *Options) any { return &o.WriteBack.Repository }},
		{Name: "without-pin", Kind: StringKind, Title: "Image without a pin",
			Tooltip: "How an image is rendered for which nothing is pinned yet: chart (with the tag that the chart says) or refuse " +
				"(as an error).",
			Default: string(WithoutPinChart),
			check:   validWithoutPin, option: func(o *Options) any { return &o.WithoutPin }},
	}
}
