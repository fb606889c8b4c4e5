package deploy_test

import (
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/registry"
)

// The operator's files are valid as they come, and so is what they show in comments.
func TestSettings(t *testing.T) {
	settings := file(t, "sidecar/tagpin-cm.yaml", "tagpin.yaml")
	if s, err := config.Parse("tagpin.yaml", []byte(settings)); err != nil || len(s.Bindings) != 0 {
		t.Errorf("%+v, %v; want nothing bound", s, err)
	}
	s, err := config.Parse("tagpin.yaml", []byte(uncomment(settings, "bindings: []", "bindings:")))
	if err != nil || len(s.Bindings) != 1 || s.Bindings[0].Credential.String() != "secret:argocd/git-creds" {
		t.Errorf("%+v, %v; want git-creds bound", s, err)
	}
	conf := file(t, "sidecar/tagpin-registries-cm.yaml", "registries.conf")
	if endpoints, err := registry.ParseConf([]byte(conf)); err != nil || len(endpoints) != 0 {
		t.Errorf("%v, %v; want no entry", endpoints, err)
	}
	endpoints, err := registry.ParseConf([]byte(uncomment(conf, "registries: []", "registries:")))
	if err != nil || len(endpoints) != 1 || endpoints[0].Credentials.String() != "secret:argocd/acr#acr" {
		t.Errorf("%+v, %v; want ACR with its Secret", endpoints, err)
	}
}

// file is a file in a ConfigMap.
func file(t *testing.T, path, key string) string {
	t.Helper()
	all := parse(t, []byte(read(t, path)))
	for name := range all {
		return as[*corev1.ConfigMap](t, all, name).Data[key]
	}
	t.Fatalf("%s is empty", path)
	return ""
}

var comment = regexp.MustCompile(`(?m)^# ((?:- |  ).*)$`)

// uncomment makes an example's lines count.
func uncomment(text, empty, begun string) string {
	return comment.ReplaceAllString(strings.Replace(text, empty, begun, 1), "$1")
}
