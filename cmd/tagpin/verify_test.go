package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/cluster"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
)

const liveApplication = `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  project: team
  destination: {server: https://kubernetes.default.svc, namespace: shop}
  source:
    repoURL: https://git.example.com/shop.git
    path: deploy
    targetRevision: main
    plugin:
      name: tagpin
      parameters:
      - {name: image-list, string: web=registry.example.com/team/web}
      - {name: write-back-method, string: 'git:secret:argocd/git-creds'}
      - {name: helm.values, string: 'replicas: 3'}
  syncPolicy: {automated: {}}
`

// apiServer answers like a Kubernetes API server to who gets Applications with this token, and refuses everything else. The real one
// is asked by make e2e.
func apiServer(t *testing.T, apps map[string]string) (kubeconfig string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app, found := apps[strings.TrimPrefix(r.URL.Path, "/apis/argoproj.io/v1alpha1/namespaces/")]
		status, body := http.StatusOK, []byte(app)
		switch {
		case r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer token-Canary" || strings.Contains(r.URL.Path, "/forbidden/"):
			status, body = http.StatusForbidden, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"remote-Canary","code":403}`)
		case !found:
			status, body = http.StatusNotFound, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"remote-Canary","code":404}`)
		case app == "":
			status, body = http.StatusInternalServerError, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"remote-Canary","code":500}`)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]\nusers: [{name: u, user: {token: token-Canary}}]\n"+
		"contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n", server.URL,
		base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func text(s string) *string { return &s }

// A write is allowed for the Application as it is, with what the files of the branch add, and for no other observation.
func TestVerify(t *testing.T) {
	change := func(from, to string) string {
		t.Helper()
		if !strings.Contains(liveApplication, from) {
			t.Fatalf("no %q", from)
		}
		data, err := yaml.YAMLToJSON([]byte(strings.Replace(liveApplication, from, to, 1)))
		if err != nil || !json.Valid(data) {
			t.Fatal(err)
		}
		return string(data)
	}
	rendered := func() reconcile.Hint {
		return reconcile.Hint{
			App: image.Application{Name: "shop", Project: "team", RepoURL: "https://git.example.com/shop.git", Path: "deploy", TargetRevision: "main"},
			Parameters: []image.Parameter{
				{Name: "image-list", String: text("web=registry.example.com/team/web")},
				{Name: "write-back-method", String: text("git:secret:argocd/git-creds")},
			},
		}
	}
	for name, test := range map[string]struct {
		live   string
		hint   func(*reconcile.Hint)
		files  map[string][]byte
		manual bool
		reason string // empty: allowed
		err    string
	}{
		"as it is":         {},
		"pins in the file": {files: map[string][]byte{"deploy/.argocd-source-shop.yaml": []byte("pins:\n- image: x\n  tag: v1\n")}},
		"other values":     {live: change("replicas: 3", "replicas: 4")}, // no pin depends on them
		"another image":    {hint: func(h *reconcile.Hint) { h.Parameters[0].String = text("web=registry.example.com/evil/web") }, reason: "are not those of the Application"},
		"another policy": {hint: func(h *reconcile.Hint) {
			h.Parameters = append(h.Parameters, image.Parameter{Name: "allow-tags", String: text("any")})
		}, reason: "are not those of the Application"},
		"in the environment":      {hint: func(h *reconcile.Hint) { h.Env = map[string]string{"ALLOW_TAGS": "any"} }, reason: "are not those of the Application"},
		"another path":            {hint: func(h *reconcile.Hint) { h.App.Path = "other" }, reason: "no such source"},
		"a path outside":          {hint: func(h *reconcile.Hint) { h.App.Path = "../../etc" }, err: "escapes"},
		"another repository":      {hint: func(h *reconcile.Hint) { h.App.RepoURL = "https://git.example.com/other.git" }, reason: "no such source"},
		"another branch":          {hint: func(h *reconcile.Hint) { h.App.TargetRevision = "release" }, reason: "no such source"},
		"another project":         {hint: func(h *reconcile.Hint) { h.App.Project = "other" }, reason: "another project"},
		"no project told":         {hint: func(h *reconcile.Hint) { h.App.Project = "" }},
		"gone":                    {hint: func(h *reconcile.Hint) { h.App.Name = "gone" }, reason: "no Application gone"},
		"in another namespace":    {hint: func(h *reconcile.Hint) { h.App.Name = "apps_shop" }},
		"no automated sync":       {live: change("syncPolicy: {automated: {}}", "syncPolicy: {}"), reason: "doesn't sync automatically"},
		"automated sync off":      {live: change("automated: {}", "automated: {enabled: false}"), reason: "doesn't sync automatically"},
		"manual sync is allowed":  {live: change("syncPolicy: {automated: {}}", "syncPolicy: {}"), manual: true},
		"being deleted":           {live: change("namespace: argocd}", "namespace: argocd, deletionTimestamp: '2026-01-01T00:00:00Z'}"), reason: "being deleted"},
		"no plugin any more":      {live: change("name: tagpin", "name: other"), reason: "no such source"},
		"several sources":         {live: change("  source:\n    repoURL: https://git.example.com/shop.git", "  sources:\n  - repoURL: https://git.example.com/other.git\n    path: x\n  - repoURL: https://git.example.com/shop.git")},
		"the file adds a setting": {files: map[string][]byte{"deploy/.argocd-source-shop.yaml": []byte("plugin: {env: [{name: ALLOW_TAGS, value: any}]}\n")}, reason: "are not those of the Application"},
		"and it was rendered": {
			files: map[string][]byte{"deploy/.argocd-source-shop.yaml": []byte("plugin: {env: [{name: ALLOW_TAGS, value: any}]}\n")},
			hint:  func(h *reconcile.Hint) { h.Env = map[string]string{"ALLOW_TAGS": "any"} },
		},
		"forbidden": {hint: func(h *reconcile.Hint) { h.App.Name = "forbidden_shop" }, err: "get on applications.argoproj.io"},
		"broken":    {hint: func(h *reconcile.Hint) { h.App.Name = "broken" }, err: "HTTP status 500"},
	} {
		t.Run(name, func(t *testing.T) {
			live := test.live
			if live == "" {
				live = change("shop", "shop")
			}
			elsewhere := strings.Replace(live, `"namespace":"argocd"`, `"namespace":"apps"`, 1)
			config := apiServer(t, map[string]string{"argocd/applications/shop": live, "apps/applications/shop": elsewhere, "argocd/applications/broken": ""})
			client, err := cluster.Open(config, "argocd")
			if err != nil {
				t.Fatal(err)
			}
			h := rendered()
			if test.hint != nil {
				test.hint(&h)
			}
			reason, err := verifier{client, "argocd", test.manual}.Verify(t.Context(), h, test.files)
			switch {
			case test.err == "" && err != nil, test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want …%s…", err, test.err)
			case test.reason == "" && reason != "", !strings.Contains(reason, test.reason):
				t.Errorf("reason %q, want …%s…", reason, test.reason)
			}
			if strings.Contains(reason+fmt.Sprint(err), "Canary") {
				t.Errorf("it gives away %s %v", reason, err)
			}
		})
	}
}
