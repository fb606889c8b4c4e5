package render

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
)

// printed is a document as it gets printed.
type printed struct{ File, Text string }

// sortedByHelm is what documents.sort has to be like.
func sortedByHelm(outputs map[string]string) (manifests, hooks, tests []printed, err error) {
	h, m, err := releaseutil.SortManifests(outputs, nil, releaseutil.InstallOrder)
	for _, one := range m {
		manifests = append(manifests, printed{one.Name, one.Content})
	}
	for _, one := range h {
		hooks = append(hooks, printed{one.Path, one.Manifest})
		if slices.Contains(one.Events, release.HookTest) {
			tests = append(tests, printed{one.Path, one.Manifest})
		}
	}
	return manifests, hooks, tests, err
}

func checkSort(t *testing.T, d *documents, outputs map[string]string) {
	t.Helper()
	wantManifests, wantHooks, wantTests, wantErr := sortedByHelm(outputs)
	manifests, hooks, err := d.sort(outputs)
	if wantErr != nil || err != nil {
		if wantErr == nil || err == nil || wantErr.Error() != err.Error() {
			t.Errorf("helm: %v\nhere: %v", wantErr, err)
		}
		return
	}
	var got, gotHooks, gotTests []printed
	for _, m := range manifests {
		got = append(got, printed{m.file, m.text})
	}
	for _, h := range hooks {
		gotHooks = append(gotHooks, printed{h.file, h.text})
		if h.use == testHook {
			gotTests = append(gotTests, printed{h.file, h.text})
		}
	}
	if diff := cmp.Diff([][]printed{wantManifests, wantHooks, wantTests}, [][]printed{got, gotHooks, gotTests}); diff != "" {
		t.Errorf("(-helm +own):\n%s", diff)
	}
}

func TestDocumentsAreSortedAsByHelm(t *testing.T) {
	many := strings.Builder{}
	for range 10 {
		for _, kind := range append([]string{"Zebra", "Apple", "", "Deployment"}, releaseutil.InstallOrder...) {
			many.WriteString("---\nkind: " + kind + "\n")
		}
	}
	hook := func(events string) string {
		return "kind: Job\nmetadata:\n  name: a\n  annotations: {helm.sh/hook: " + events + ", helm.sh/hook-weight: \"3\"}\n"
	}
	for name, outputs := range map[string]map[string]string{
		"nothing":       {"a.yaml": "", "b.yaml": " \n\n", "_c.tpl": "kind: A\n", "d.yaml": "---\n---\n", "e.yaml": "# only a comment\n"},
		"kinds":         {"b.yaml": many.String(), "a.yaml": many.String(), "c/a.yaml": "kind: Service\n---\nkind: Secret"},
		"separators":    {"a.yaml": "---\na: 1\n--- # comment\nb: 2\n---c: 3\n \n\t\n---\n\nd: |\n  ---\n  x\n----\n\n\r\n---\r\ne: 5\r\n"},
		"hooks":         {"a.yaml": strings.Join([]string{hook("pre-install"), hook("test"), hook("test-success, Post-Install"), hook("unknown"), hook("test,unknown"), hook("crd-install"), hook(`""`)}, "\n---\n"), "b.yaml": hook("'post-upgrade,pre-delete'")},
		"not a map":     {"a.yaml": "- a\n"},
		"broken":        {"a.yaml": "a: 1\n---\nb: [\n", "b.yaml": "{"},
		"head of types": {"a.yaml": "kind: 1\n---\nkind: true\nmetadata: {name: 5}\n"},
		"annotation":    {"a.yaml": "metadata: {annotations: {a: 1}}\n"},
		"annotations":   {"a.yaml": "metadata: {annotations: []}\n"},
		"metadata":      {"a.yaml": "metadata: text\n"},
		"duplicate":     {"a.yaml": "kind: A\nkind: Service\n---\nkind: B\n"},
		"null":          {"a.yaml": "null\n---\nkind: null\nmetadata: null\n---\nmetadata: {annotations: null}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var d documents
			for range 2 { // parsed, and kept
				checkSort(t, &d, outputs)
			}
		})
	}
}

func FuzzDocuments(f *testing.F) {
	for _, seed := range []string{"---\na: 1\n---\nb: 2\n", "\n \n---\n---\n", "a\n---b\n\f---\v---\r\n", "--- ---\n", "\u00a0\n---\u2003", "x\n---\n\u0085\n---\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		byHelm := releaseutil.SplitManifests(text)
		if strings.TrimSpace(text) == "" {
			byHelm = nil // it is left out before
		}
		keys := slices.SortedFunc(func(yield func(string) bool) {
			for k := range byHelm {
				if !yield(k) {
					return
				}
			}
		}, func(a, b string) int {
			if releaseutil.BySplitManifestsOrder([]string{a, b}).Less(0, 1) {
				return -1
			}
			return 1
		})
		var want []string
		for _, k := range keys {
			want = append(want, byHelm[k])
		}
		if diff := cmp.Diff(want, splitDocuments(text)); diff != "" {
			t.Errorf("%q (-helm +own):\n%s", text, diff)
		}
	})
}
