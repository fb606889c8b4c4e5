package render

import (
	"fmt"
	"regexp"
)

// unused looks for each image's tag behind a colon: in a reference, or as the value of a field of its own.
func unused(kind Type, images []Image, manifests []byte) []string {
	var out []string
	for n := range images {
		img := &images[n]
		found := regexp.MustCompile(`: ?["']?` + regexp.QuoteMeta(img.version()) + `([^A-Za-z0-9._-]|$)`)
		if found.Match(manifests) {
			continue
		}
		where := img.parameter("helm.image-name") + ", helm.image-tag or helm.image-spec"
		if kind == Kustomize {
			where = img.parameter("kustomize.image-name")
		}
		out = append(out, fmt.Sprintf("%s: no manifest names %s:%s after it was injected: look at %s", img.label(), img.name(),
			img.version(), where))
	}
	return out
}
