package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWebhooks(t *testing.T) {
	s := parse(t, `
webhooks:
- secret: secret:argocd/tagpin-webhook#secret
  previous-secret: secret:argocd/tagpin-webhook#previous
  repositories: [registry.cn-hangzhou.aliyuncs.com/team, "registry.example.com:5000"]
`)
	want := []RepositoryPrefix{{"registry.cn-hangzhou.aliyuncs.com", "team"}, {"registry.example.com:5000", ""}}
	if diff := cmp.Diff(want, s.Webhooks[0].Repositories); diff != "" {
		t.Error(diff)
	}
	const secret = "secret: secret:argocd/h#s"
	for text, problem := range map[string]string{
		"{repositories: [a.example]}":                                         "lacks secret",
		"{" + secret + "}":                                                    "lacks repositories",
		"{" + secret + ", repositories: [a.example/*]}":                       "write a registry's host",
		"{" + secret + ", repositories: [https://a.example]}":                 "write a registry's host",
		"{secret: secret:argocd/h, repositories: [a.example]}":                "of the form secret:<namespace>/<name>#<field>",
		"{secret: env:HOOK, repositories: [a.example]}":                       "of the form secret:<namespace>/<name>#<field>",
		"{secret: hook-Canary-plain, repositories: [a.example]}":              "",
		"{" + secret + ", previous-secret: env:X, repositories: [a.example]}": "of the form",
	} {
		_, err := Parse("tagpin.yaml", []byte("webhooks:\n- "+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), problem) || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%s: %v, want …%s…", text, err, problem)
		}
	}
}
