package render

import (
	"bytes"
	"fmt"
)

// unused looks for each image's tag behind a colon, as in any reference to it.
func unused(kind Type, images []Image, manifests []byte) []string {
	var out []string
	for n := range images {
		img := &images[n]
		if mentions(manifests, ":"+img.version()) {
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

// mentions reports whether text holds s, not followed by more of a tag.
func mentions(text []byte, s string) bool {
	for {
		i := bytes.Index(text, []byte(s))
		if i < 0 {
			return false
		}
		text = text[i+len(s):]
		if len(text) == 0 || !tagGrammar.Match(text[:1]) && text[0] != '.' && text[0] != '-' {
			return true
		}
	}
}
