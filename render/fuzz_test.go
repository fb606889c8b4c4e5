package render

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/strvals"
)

// What parsePath accepts, Helm's own --set reads as the same path.
func FuzzValuePath(f *testing.F) {
	for _, s := range []string{
		"image.tag", "containers[0].image", `a\.b.c`, "a[0][1].b", "a..b", "[0]", "a[", "a[x]", "a]", "a=b", `a\`, "a[99999999999]", "a[0]b", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		steps, err := parsePath(s)
		if err != nil || strings.ContainsAny(s, "\n\x00") {
			return
		}
		var want any = "x"
		for i := len(steps) - 1; i >= 0; i-- {
			if steps[i].isIndex() {
				if steps[i].index > 0 {
					return // Helm fills the list up with nulls
				}
				want = []any{want}
				continue
			}
			want = map[string]any{steps[i].key: want}
		}
		got := map[string]any{}
		if err := strvals.ParseIntoString(s+"=x", got); err != nil {
			return // Helm is stricter: depth, bytes that are no UTF-8
		}
		if !equal(got, want) {
			t.Errorf("%q: %v, Helm: %v", s, want, got)
		}
	})
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		for k := range a {
			ok = ok && equal(a[k], m[k])
		}
		return ok && len(a) == len(m)
	case []any:
		l, ok := b.([]any)
		for i := range a {
			ok = ok && i < len(l) && equal(a[i], l[i])
		}
		return ok && len(a) == len(l)
	default:
		return a == b
	}
}

// The look at a plugin's configuration ends, whatever it holds.
func FuzzPluginConfiguration(f *testing.F) {
	for _, s := range []string{
		"path: https://example.com/x", "a: &a [*a]", "&a {path: *a}", "<<: &x {path: 'git@h:x'}", "- - - path", "? [a]\n: b", "%YAML 1.1",
		"{path: github.com/a/b}", "path: !!binary aHR0cHM6Ly9leGFtcGxlLmNvbS94",
	} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _ = localPaths([]byte(s)) })
}
