package edit

import (
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ target, app, want, err string }{
		{"", "", ".argocd-source-web.yaml", ""},
		{"", "apps/web", "apps/web/.argocd-source-web.yaml", ""},
		{"helmvalues", "apps/web", "apps/web/values.yaml", ""},
		{"helmvalues:values-prod.yaml", ".", "values-prod.yaml", ""},
		{"helmvalues:./env/prod.yml", "apps/web/", "apps/web/env/prod.yml", ""},
		{"helmvalues:/apps/web/env/../values.json", "apps/web", "apps/web/values.json", ""},
		{"helmvalues:../web/values.yaml", "apps/web", "apps/web/values.yaml", ""},
		{"helmvalues:/../apps/web/values.yaml", "apps/web", "", "out of the repository"},
		{"helmvalues:../../values.yaml", "apps/web", "values.yaml", "outside"},
		{"helmvalues:../web-2/values.yaml", "apps/web", "apps/web-2/values.yaml", "outside"},
		{"helmvalues:/shared/values.yaml", "apps/web", "shared/values.yaml", "outside"},
		{"helmvalues:../../../values.yaml", "apps/web", "", "out of the repository"},
		{"helmvalues:x/../../../../etc/values.yaml", "apps/web", "", "out of the repository"},
		{"helmvalues:values.txt", "apps/web", "", "no values file"},
		{"helmvalues:Jenkinsfile", "apps/web", "", "no values file"},
		{"helmvalues:.", "apps/web", "", "no values file"},
		{"helmvalues:.github/workflows/ci.yaml", ".", "", "dot-directories"},
		{"helmvalues:/.GitHub/workflows/ci.yaml", "apps/web", "", "dot-directories"},
		{"helmvalues:.gitlab-ci.yml", ".", "", "dot-directories"},
		{"helmvalues:.git/config.yaml", ".", "", "dot-directories"},
		{"helmvalues:GIT~1/config.yaml", ".", "", "dot-directories"},
		{"helmvalues:Azure-Pipelines.yml", ".", "", "CI systems"},
		{"helmvalues:bitbucket-pipelines.yml", "apps/web", "", "CI systems"},
		{"helmvalues:.argocd-source-web.yaml", ".", "", "dot-directories"},
		{"helmvalues:a\\b.yaml", ".", "", "forward slashes"},
		{"helmvalues:a\u200c.yaml", ".", "", "printable"},
		{"helmvalues:a\x00.yaml", ".", "", "printable"},
		{"", ".github/workflows", "", "dot-directories"},
		{"", "../apps", "", "out of the repository"},
		{"kustomization", "apps/web", "apps/web", ""},
		{"kustomization:.", ".", ".", ""},
		{"kustomization:overlays/prod", "apps/web", "apps/web/overlays/prod", ""},
		{"kustomization:../../base", "apps/web", "base", "outside"},
		{"kustomization:/", "apps/web", ".", "outside"},
		{"kustomization:/.git", "apps/web", "", "dot-directories"},
		{"kustomization:../../..", "apps/web", "", "out of the repository"},
	} {
		target, err := ParseTarget(tt.target)
		if err != nil {
			t.Errorf("%q: %v", tt.target, err)
			continue
		}
		_, err = target.Resolve("web", tt.app, nil)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q in %q: error %v, want %q", tt.target, tt.app, err, tt.err)
		}
		got, err := target.Resolve("web", tt.app, func(string) bool { return true })
		if tt.want == "" {
			if err == nil {
				t.Errorf("%q in %q: allowed to be %q", tt.target, tt.app, got.Path)
			}
			continue
		}
		if want := (Result{tt.want, tt.err == "outside"}); err != nil || got != want {
			t.Errorf("%q in %q: got %+v, %v; want %+v", tt.target, tt.app, got, err, want)
		}
	}
}

func TestResolveAsksForThePath(t *testing.T) {
	target := Target{Kind: HelmValuesTarget, Path: "/shared/./x/../values.yaml"}
	for allowed, want := range map[string]bool{"shared/values.yaml": true, "shared": false} {
		_, err := target.Resolve("web", "apps/web", func(p string) bool { return p == allowed })
		if (err == nil) != want {
			t.Errorf("%s: %v", allowed, err)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for _, s := range []string{"helmvalues:", "kustomization:", "values.yaml", "Helmvalues", "helm", ":x", "pins:x"} {
		if got, err := ParseTarget(s); err == nil {
			t.Errorf("%q is %+v", s, got)
		}
	}
}

func TestKustomizationFile(t *testing.T) {
	for names, want := range map[string]string{
		"a.yaml kustomization.yaml":            "kustomization.yaml",
		"kustomization.yml":                    "kustomization.yml",
		"Kustomization values.yaml":            "Kustomization",
		"kustomization.yaml kustomization.yml": "",
		"kustomization.json":                   "",
		"":                                     "",
	} {
		got, err := KustomizationFile(strings.Fields(names))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", names, got, err)
		}
	}
}
