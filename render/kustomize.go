package render

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provenance"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// programVersion is that of the kustomize program which has the library's version. A test compares it with the program's.
const programVersion = "v5.7.1"

// kustomizeTurn is held while kustomize runs: the schema it merges by is one for the whole process, and one application's
// kustomization may replace it.
var kustomizeTurn = make(chan struct{}, 1)

// kustomizeBuild does what `kustomize edit …` for each option and then `kustomize build` do in dir. The edits are made on a
// copy of the application's kustomization in memory.
func kustomizeBuild(ctx context.Context, t *tree, dir string, r *Request) ([]byte, error) {
	if v := r.Kustomize.Version; v != "" {
		return nil, fmt.Errorf("kustomize.version %q is not supported: tagpin has one version of kustomize built in; remove it", v)
	}
	opts, err := r.buildOptions()
	if err != nil {
		return nil, err
	}
	edited, err := editKustomization(t, dir, r)
	if err != nil {
		return nil, err
	}
	fsys := newKustFS(t, r, opts)
	if edited.path != "" {
		fsys.files[edited.path] = edited.data
	}
	select {
	case kustomizeTurn <- struct{}{}:
		defer func() { <-kustomizeTurn }()
	case <-ctx.Done():
		return nil, interrupted(ctx)
	}
	return krustyRun(fsys, dir)
}

func krustyRun(fsys *kustFS, dir string) ([]byte, error) {
	defer func() {
		if fsys.ownSchema {
			openapi.ResetOpenAPI()
		}
	}()
	opts := krusty.MakeDefaultOptions()
	opts.Reorder = fsys.opts.reorder // unspecified is what the program does without flags; the library's default differs
	opts.LoadRestrictions = fsys.opts.restrictor
	opts.AddManagedbyLabel = fsys.opts.managedBy
	all, err := krusty.MakeKustomizer(opts).Run(fsys, path.Join("/", dir))
	if fsys.refused != nil {
		return nil, fsys.refused
	}
	if err != nil {
		return nil, errors.New(fsys.explain(kustomizeError(err).Error()))
	}
	if err := signAsProgram(all); err != nil {
		return nil, kustomizeError(err)
	}
	out, err := all.AsYaml()
	if err != nil {
		return nil, kustomizeError(err)
	}
	return out, nil
}

// signAsProgram corrects the label of `buildMetadata: [managedByLabel]`, in which the library names the version of the program
// that it is part of.
func signAsProgram(all resmap.ResMap) error {
	own := "kustomize-" + provenance.GetProvenance().Semver()
	for _, r := range all.Resources() {
		if r.GetLabels()[konfig.ManagedbyLabelKey] != own {
			continue
		}
		if err := r.PipeE(kyaml.SetLabel(konfig.ManagedbyLabelKey, "kustomize-"+programVersion)); err != nil {
			return err
		}
	}
	return nil
}

// kustomizeError puts kustomize's message in one line and names the build option where it asks for one.
func kustomizeError(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if strings.Contains(text, "must specify --enable-helm") {
		return errors.New("the kustomization inflates Helm charts: set kustomize.buildOptions to --enable-helm, and name the charts " +
			"in helmCharts of a kustomization, not in generators")
	}
	if m := missing.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("accumulating resources from %q: %s", m[1], m[2])
	}
	return fmt.Errorf("kustomize: %s", text)
}

// missing is how kustomize says that a resource is neither a file nor a directory: twice, in quotes of quotes.
var missing = regexp.MustCompile(`accumulating resources from '([^']*)': ([^']*)': must build at directory`)
