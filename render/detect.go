package render

import (
	"errors"
	"fmt"
	"path"
	"reflect"

	"sigs.k8s.io/kustomize/api/konfig"
)

const chartFile = "Chart.yaml"

// Detect finds the type of an application's directory as Argo CD does: a kustomization.yaml, kustomization.yml or
// Kustomization makes it Kustomize, otherwise a Chart.yaml makes it Helm. A directory with neither is an error: Argo CD would
// apply its files as they are, which needs no plugin.
func Detect(dir string) (Type, error) {
	t, err := openTree(dir, nil)
	if err != nil {
		return "", err
	}
	defer t.close()
	return detect(t, ".")
}

func detect(t *tree, dir string) (Type, error) {
	switch {
	case findKustomization(t, dir) != "":
		return Kustomize, nil
	case t.isFile(path.Join(dir, chartFile)):
		return Helm, nil
	case !t.isDir(dir):
		return "", fmt.Errorf("the source path %q is no directory of the repository at this revision: correct spec.source.path",
			dir)
	default:
		return "", fmt.Errorf("nothing to render in %q: there is no Chart.yaml, kustomization.yaml, kustomization.yml or "+
			"Kustomization in it; correct spec.source.path, or leave plain manifests to Argo CD's directory source", dir)
	}
}

// findKustomization returns the path of the first kustomization file in dir, or "".
func findKustomization(t *tree, dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if file := path.Join(dir, name); t.isFile(file) {
			return file
		}
	}
	return ""
}

// typeOf is Argo CD's rule: options of a type make the source that type, whatever lies in the directory.
func typeOf(t *tree, dir string, r *Request) (Type, error) {
	helm, kustomize := isSet(r.Helm), isSet(r.Kustomize)
	switch {
	case helm && kustomize:
		return "", errors.New("helm.* and kustomize.* parameters are both set, but a source is either a chart or a " +
			"kustomization: remove one kind")
	case helm && t.isDir(dir) && !t.isFile(path.Join(dir, chartFile)):
		return "", fmt.Errorf("helm.* parameters are set, but there is no Chart.yaml in %q: "+
			"remove them or correct spec.source.path", dir)
	case kustomize && t.isDir(dir) && findKustomization(t, dir) == "":
		return "", fmt.Errorf("kustomize.* parameters are set, but there is no kustomization.yaml in %q: "+
			"remove them or correct spec.source.path", dir)
	}
	found, err := detect(t, dir)
	if err != nil {
		return "", err
	}
	switch {
	case helm:
		return Helm, nil
	case kustomize:
		return Kustomize, nil
	}
	return found, nil
}

// isSet reports whether any option is given; empty lists and maps are not.
func isSet(options any) bool {
	v := reflect.ValueOf(options)
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() { //nolint:exhaustive // the others have no length
		case reflect.Map, reflect.Slice:
			if f.Len() > 0 {
				return true
			}
		default:
			if !f.IsZero() {
				return true
			}
		}
	}
	return false
}
