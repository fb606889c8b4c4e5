package image

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What an update depends on stays, and gives the same options; what may be secret is gone.
func TestForUpdates(t *testing.T) {
	text := func(s string) *string { return &s }
	in := Input{
		Parameters: []Parameter{
			{Name: Prefix + "image-list", String: text("web=registry.example.com/team/web:~1.2")},
			{Name: "web.helm.image-tag", String: text("web.tag")},
			{Name: "helm.values", String: text("password: Canary")},
			{Name: "helm.valuesObject", String: text("password: Canary")},
			{Name: Prefix + "helm.parameters", Map: map[string]string{"password": "Canary"}},
			{Name: "helm.forceString", Array: []string{"password"}},
			{Name: "helm.valueFiles", Array: []string{"prod.yaml"}},
			{Name: "kustomize.patches", String: text("Canary")},
			{Name: "write-back-target", String: text("helmvalues:prod.yaml")},
		},
		Env: map[string]string{
			"WRITE_BACK_METHOD": "git:secret:argocd/git", "WEB_ALLOW_TAGS": "regexp:^1", "PASSWORD": "Canary", "HELM_VALUES": "Canary",
		},
	}
	out := in.ForUpdates()
	want := Input{
		Parameters: []Parameter{in.Parameters[0], in.Parameters[1], in.Parameters[6], in.Parameters[8]},
		Env:        map[string]string{"WRITE_BACK_METHOD": "git:secret:argocd/git", "WEB_ALLOW_TAGS": "regexp:^1"},
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	whole, err := ParseOptions(in)
	if err != nil {
		t.Fatal(err)
	}
	reduced, err := ParseOptions(out)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Images[0].Policy.AllowTags.String() != reduced.Images[0].Policy.AllowTags.String() || whole.WriteBack != reduced.WriteBack ||
		whole.Images[0].Helm != reduced.Images[0].Helm {
		t.Errorf("the options differ: %+v, %+v", whole, reduced)
	}
}
