package image

import (
	"fmt"
	"strconv"
)

// helmDefinitions and kustomizeDefinitions carry the field names of Argo CD's ApplicationSourceHelm and
// ApplicationSourceKustomize. What Argo CD writes as a list of names and values is a map here.

func helmDefinitions() []Definition {
	return []Definition{
		{Name: "helm.valueFiles", Kind: ArrayKind, Title: "Helm: value files",
			Tooltip: "Value files, relative to the application's path; a later one wins.",
			check:   nonEmpty, option: func(o *Options) any { return &o.Helm.ValueFiles }},
		{Name: "helm.values", Kind: StringKind, Title: "Helm: values",
			Tooltip: "Values as YAML text; they win over the value files.",
			option:  func(o *Options) any { return &o.Helm.Values }},
		{Name: "helm.valuesObject", Kind: StringKind, Title: "Helm: values object",
			Tooltip: "Values as YAML text; used instead of helm.values when both are set.",
			option:  func(o *Options) any { return &o.Helm.ValuesObject }},
		{Name: "helm.parameters", Kind: MapKind, Title: "Helm: parameters",
			Tooltip: "Single values by path, as with helm's --set; they win over all other values but the images.",
			option:  func(o *Options) any { return &o.Helm.Parameters }},
		{Name: "helm.forceString", Kind: ArrayKind, Title: "Helm: parameters that are text",
			Tooltip: "Names of helm.parameters whose values stay text even if they look like a number or true.",
			check:   nonEmpty, option: func(o *Options) any { return &o.Helm.ForceString }},
		{Name: "helm.fileParameters", Kind: MapKind, Title: "Helm: file parameters",
			Tooltip: "Single values by path whose content is read from a file of the repository.",
			option:  func(o *Options) any { return &o.Helm.FileParameters }},
		{Name: "helm.releaseName", Kind: StringKind, Title: "Helm: release name", Default: "the application's name",
			Tooltip: "The release name that the chart sees.",
			option:  func(o *Options) any { return &o.Helm.ReleaseName }},
		{Name: "helm.namespace", Kind: StringKind, Title: "Helm: namespace", Default: "the destination namespace",
			Tooltip: "The namespace that the chart sees.",
			option:  func(o *Options) any { return &o.Helm.Namespace }},
		{Name: "helm.kubeVersion", Kind: StringKind, Title: "Helm: Kubernetes version", Default: "that of the cluster",
			Tooltip: "The Kubernetes version that the chart sees.",
			option:  func(o *Options) any { return &o.Helm.KubeVersion }},
		{Name: "helm.apiVersions", Kind: ArrayKind, Title: "Helm: API versions", Default: "those of the cluster",
			Tooltip: "The API versions that the chart sees, [group/]version/kind.",
			check:   nonEmpty, option: func(o *Options) any { return &o.Helm.APIVersions }},
		{Name: "helm.version", Kind: StringKind, Title: "Helm: version", Default: "v3",
			Tooltip: "The major version of Helm; there is only v3.",
			check:   validHelmVersion, option: func(o *Options) any { return &o.Helm.Version }},
		toggle("helm.skipCrds", "Helm: skip CRDs", "true leaves out the chart's crds directory.",
			func(o *Options) any { return &o.Helm.SkipCrds }),
		toggle("helm.skipTests", "Helm: skip tests", "true leaves out the chart's test hooks.",
			func(o *Options) any { return &o.Helm.SkipTests }),
		toggle("helm.skipSchemaValidation", "Helm: skip schema validation", "true does not check values against values.schema.json.",
			func(o *Options) any { return &o.Helm.SkipSchemaValidation }),
		toggle("helm.ignoreMissingValueFiles", "Helm: ignore missing value files", "true skips value files that do not exist.",
			func(o *Options) any { return &o.Helm.IgnoreMissingValueFiles }),
		toggle("helm.passCredentials", "Helm: pass credentials", "true sends a chart repository's credentials to all hosts it names.",
			func(o *Options) any { return &o.Helm.PassCredentials }),
	}
}

func kustomizeDefinitions() []Definition {
	return []Definition{
		{Name: "kustomize.namePrefix", Kind: StringKind, Title: "Kustomize: name prefix",
			Tooltip: "Put before the name of every resource.",
			option:  func(o *Options) any { return &o.Kustomize.NamePrefix }},
		{Name: "kustomize.nameSuffix", Kind: StringKind, Title: "Kustomize: name suffix",
			Tooltip: "Put after the name of every resource.",
			option:  func(o *Options) any { return &o.Kustomize.NameSuffix }},
		{Name: "kustomize.images", Kind: ArrayKind, Title: "Kustomize: images",
			Tooltip: "Fixed image replacements, [<old name>=]<name>[:<tag>][@<digest>]. Images of the image-list win.",
			check:   nonEmpty, option: func(o *Options) any { return &o.Kustomize.Images }},
		{Name: "kustomize.replicas", Kind: MapKind, Title: "Kustomize: replicas",
			Tooltip: "Number of replicas by the name of the workload.",
			check:   validCount, option: func(o *Options) any { return &o.Kustomize.Replicas }},
		{Name: "kustomize.commonLabels", Kind: MapKind, Title: "Kustomize: common labels",
			Tooltip: "Labels that every resource gets.",
			option:  func(o *Options) any { return &o.Kustomize.CommonLabels }},
		{Name: "kustomize.commonAnnotations", Kind: MapKind, Title: "Kustomize: common annotations",
			Tooltip: "Annotations that every resource gets.",
			option:  func(o *Options) any { return &o.Kustomize.CommonAnnotations }},
		toggle("kustomize.forceCommonLabels", "Kustomize: force common labels", "true replaces labels that are there already.",
			func(o *Options) any { return &o.Kustomize.ForceCommonLabels }),
		toggle("kustomize.forceCommonAnnotations", "Kustomize: force common annotations",
			"true replaces annotations that are there already.",
			func(o *Options) any { return &o.Kustomize.ForceCommonAnnotations }),
		toggle("kustomize.commonAnnotationsEnvsubst", "Kustomize: variables in annotations",
			"true replaces $ARGOCD_APP_… in the values of the common annotations.",
			func(o *Options) any { return &o.Kustomize.CommonAnnotationsEnvsubst }),
		toggle("kustomize.labelWithoutSelector", "Kustomize: labels without selectors",
			"true keeps the common labels out of selectors.",
			func(o *Options) any { return &o.Kustomize.LabelWithoutSelector }),
		toggle("kustomize.labelIncludeTemplates", "Kustomize: labels in templates",
			"true, with labels without selectors: pod templates get the common labels too.",
			func(o *Options) any { return &o.Kustomize.LabelIncludeTemplates }),
		{Name: "kustomize.namespace", Kind: StringKind, Title: "Kustomize: namespace",
			Tooltip: "The namespace that every resource gets.",
			option:  func(o *Options) any { return &o.Kustomize.Namespace }},
		{Name: "kustomize.patches", Kind: StringKind, Title: "Kustomize: patches",
			Tooltip: "A YAML list of patches as in a kustomization's patches field.",
			option:  func(o *Options) any { return &o.Kustomize.Patches }},
		{Name: "kustomize.components", Kind: ArrayKind, Title: "Kustomize: components",
			Tooltip: "Directories of components to add, relative to the application's path.",
			check:   nonEmpty, option: func(o *Options) any { return &o.Kustomize.Components }},
		toggle("kustomize.ignoreMissingComponents", "Kustomize: ignore missing components",
			"true skips components that do not exist.",
			func(o *Options) any { return &o.Kustomize.IgnoreMissingComponents }),
		{Name: "kustomize.kubeVersion", Kind: StringKind, Title: "Kustomize: Kubernetes version", Default: "that of the cluster",
			Tooltip: "The Kubernetes version for charts that the kustomization inflates.",
			option:  func(o *Options) any { return &o.Kustomize.KubeVersion }},
		{Name: "kustomize.apiVersions", Kind: ArrayKind, Title: "Kustomize: API versions", Default: "those of the cluster",
			Tooltip: "The API versions for charts that the kustomization inflates.",
			check:   nonEmpty, option: func(o *Options) any { return &o.Kustomize.APIVersions }},
		{Name: "kustomize.buildOptions", Kind: StringKind, Title: "Kustomize: build options", Default: "the operator's",
			Tooltip: "Flags of kustomize build, after the operator's: --enable-helm, --load-restrictor, --enable-managedby-label, --reorder.",
			option:  func(o *Options) any { return &o.Kustomize.BuildOptions }},
		{Name: "kustomize.version", Kind: StringKind, Title: "Kustomize: version", Default: "the built-in one",
			Tooltip: "The version of kustomize; there is only the built-in one.",
			option:  func(o *Options) any { return &o.Kustomize.Version }},
	}
}

const (
	yes = "true"
	no  = "false"
)

func toggle(name, title, tooltip string, option func(*Options) any) Definition {
	return Definition{Name: name, Title: title, Tooltip: tooltip, Kind: StringKind, Boolean: true, Default: no,
		check: validBool, option: option}
}

func validBool(s string) error {
	if s != yes && s != no {
		return fmt.Errorf(`%q is neither "true" nor "false"`, shorten(s))
	}
	return nil
}

func validCount(s string) error {
	if _, err := strconv.ParseUint(s, 10, 31); err != nil {
		return fmt.Errorf("%q is no number of replicas", shorten(s))
	}
	return nil
}

func validHelmVersion(s string) error {
	if s != "" && s != "v3" {
		return fmt.Errorf("%q is not available: charts are rendered with Helm v3", shorten(s))
	}
	return nil
}
