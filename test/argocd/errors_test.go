package argocd

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/test/acr"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// What a person reads in Argo CD for each of the usual mistakes. Argo CD shows the whole text to everyone who can see the
// application, so none may hold a secret or a word of a remote answer.
func TestErrorsThatPeopleRead(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	reg.Push("team/undated", "a", acr.Image{})
	reg.Push("team/undated", "b", acr.Image{})
	tls := acr.Start(t, acr.Options{TLS: true, Public: true})
	tls.Push(echoRepo, "v1.0", acr.Image{})
	conf := reg.ConfFile(acrSecret, acrHost) + `- name: no Secret
  prefix: registry.cn-beijing.aliyuncs.com
  api_url: http://` + reg.Host() + `
  insecure: true
  credentials: secret:argocd/absent#acr
- name: wrong password
  prefix: registry.cn-shanghai.aliyuncs.com
  api_url: http://` + reg.Host() + `
  insecure: true
  credentials: secret:argocd/wrong#acr
- name: down
  prefix: down.example.com
  api_url: http://127.0.0.1:1
  insecure: true
- name: unknown authority
  prefix: tls.example.com
  api_url: https://` + tls.Host() + `
`
	secrets := secretsWith(t, acr.User+":"+acr.Password)
	const wrong = "wrong-Canary-password"
	if err := os.MkdirAll(filepath.Join(secrets, "argocd", "wrong"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secrets, "argocd", "wrong", "acr"), []byte("robot:"+wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	side := startSidecar(t, conf, secrets, "--cache-ttl", ttl.String())

	git := newCheckout(t, "../../examples/gitops-demo")
	git.write("broken-chart/Chart.yaml", "apiVersion: v2\nname: broken\nversion: 0.1.0\n")
	git.write("broken-chart/templates/service.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name | required \"a name is needed\" }}\n")
	git.write("missing-dependency/Chart.yaml", "apiVersion: v2\nname: parent\nversion: 0.1.0\ndependencies:\n- name: redis\n  version: 1.0.0\n  repository: https://charts.example.com\n")
	git.write("empty-chart/Chart.yaml", "apiVersion: v2\nname: empty\nversion: 0.1.0\n")
	git.write("empty-chart/templates/none.yaml", "{{- /* nothing */ -}}\n")
	git.write("broken-kustomization/kustomization.yaml", "resources: [absent.yaml]\n")
	git.write("unknown-field/kustomization.yaml", "resorces: []\n")
	git.write("remote-base/kustomization.yaml", "resources:\n- https://github.com/example/base?ref=v1\n")
	git.write("plain/deployment.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
	git.commit("mistakes")
	server := Start(t, side.sockets)

	only := func(path string, parameters ...v1alpha1.ApplicationSourcePluginParameter) v1alpha1.ApplicationSource {
		return v1alpha1.ApplicationSource{Path: path, Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "tagpin", Parameters: parameters}}
	}
	none := param("write-back-method", "none")
	watching := func(image string) v1alpha1.ApplicationSource {
		return only("helm", param("image-list", "echoserver="+image), none)
	}
	for name, source := range map[string]v1alpha1.ApplicationSource{
		"unknown-parameter":      viaTagpin("helm", param("alow-tags", "any")),
		"unknown-alias":          viaTagpin("helm", param("echosrver.allow-tags", "any")),
		"unknown-strategy":       viaTagpin("helm", param("echoserver.update-strategy", "newest")),
		"unknown-match-function": viaTagpin("helm", param("echoserver.allow-tags", "regex:^v")),
		"broken-regexp":          viaTagpin("helm", param("echoserver.allow-tags", "regexp:^v[")),
		"broken-constraint":      watching(echoServer + ":latest"),
		"no-write-back-method":   only("helm", param("image-list", echoServer)),
		"no-tag-qualifies":       viaTagpin("helm", param("echoserver.allow-tags", "regexp:^v9")),
		"undated-images":         only("helm", param("image-list", "x="+acrHost+"/team/undated"), param("x.update-strategy", "latest"), none),
		"missing-secret":         watching("registry.cn-beijing.aliyuncs.com/" + echoRepo),
		"wrong-password":         watching("registry.cn-shanghai.aliyuncs.com/" + echoRepo),
		"unknown-repository":     watching(acrHost + "/haoshuwei24/absent"),
		"registry-down":          watching("down.example.com/" + echoRepo),
		"tls-unknown-authority":  watching("tls.example.com/" + echoRepo),
		"unbound-pull-secret":    viaTagpin("helm", param("echoserver.pull-secret", "pullsecret:argocd/other")),
		"metadata-address":       watching("169.254.169.254/" + echoRepo),
		"broken-chart":           viaTagpin("broken-chart"),
		"missing-dependency":     viaTagpin("missing-dependency"),
		"empty-output":           viaTagpin("empty-chart"),
		"broken-kustomization":   viaTagpin("broken-kustomization"),
		"unknown-field":          viaTagpin("unknown-field"),
		"remote-base":            viaTagpin("remote-base"),
		"plain-directory":        viaTagpin("plain"),
		"value-file-outside":     viaTagpin("helm", v1alpha1.ApplicationSourcePluginParameter{Name: "helm.valueFiles", OptionalArray: &v1alpha1.OptionalArray{Array: []string{"../../../../etc/passwd"}}}),
	} {
		t.Run(name, func(t *testing.T) {
			manifests, err := server.Generate(t.Context(), Request{App: "gitops-demo", RepoURL: git.url(), Source: source, NoCache: true})
			if err == nil {
				t.Fatalf("no error, but %d manifests", len(manifests))
			}
			text := err.Error()
			for _, secret := range []string{acr.Password, wrong, acr.Leak} {
				if strings.Contains(text, secret) {
					t.Errorf("the error gives %q away: %s", secret, text)
				}
			}
			golden(t, "errors/"+name, normalise(text, reg.Host(), tls.Host()))
		})
	}
	for _, secret := range []string{acr.Password, wrong, acr.Leak} {
		if strings.Contains(side.log.String(), secret) {
			t.Errorf("the log gives %q away:\n%s", secret, side.log)
		}
	}
}

// When the registry goes down the last known answer is used; after a 401 it is not.
func TestRegistryOutage(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	side := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password), "--cache-ttl", ttl.String())
	git := newCheckout(t, "../../examples/gitops-demo")
	git.commit("gitops-demo")
	server := Start(t, side.sockets)
	request := Request{RepoURL: git.url(), Source: viaTagpin("helm"), NoCache: true}

	got, err := server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.0")
	reg.Fail(acr.List, acr.Fault{Status: 503})
	time.Sleep(ttl)
	got, err = server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.0")
	if !strings.Contains(side.log.String(), "stale") {
		t.Errorf("the log does not say that the answer was stale:\n%s", side.log)
	}

	reg.Heal()
	reg.Fail(acr.List, acr.Fault{Status: 403})
	time.Sleep(6 * time.Second) // an error is remembered for a few seconds
	if got, err = server.Generate(t.Context(), request); err == nil {
		t.Errorf("rendered %v although the registry refuses", images(t, got))
	}
}

var (
	tempDir  = regexp.MustCompile(`/tmp/[A-Za-z0-9_./-]+`)
	duration = regexp.MustCompile(`\b[0-9.]+(ms|s)\b`)
)

// normalise takes out of a text what changes from run to run.
func normalise(text string, hosts ...string) string {
	for _, h := range hosts {
		text = strings.ReplaceAll(text, h, "REGISTRY")
	}
	text = tempDir.ReplaceAllString(text, "DIR")
	return duration.ReplaceAllString(text, "TIME") + "\n"
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go test ./test/argocd -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the error differs from %s (-want +got):\n%s", path, diff)
	}
}
