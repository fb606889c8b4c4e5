package deploy_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	kyaml "sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write deploy/helm anew")

// charted are the values files and the components that each is made from.
var charted = map[string][]string{
	"helm/sidecar.yaml":          {"sidecar"},
	"helm/sidecar-webhook.yaml":  {"sidecar", "webhook"},
	"helm/hardened.yaml":         {"hardened"},
	"helm/hardened-webhook.yaml": {"hardened", "hardened-webhook"},
}

// stub has what the components change, with nothing in it: what is in it afterwards comes from them.
const stub = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-repo-server}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-repo-server}}
    spec: {containers: [{name: argocd-repo-server}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cmd-params-cm}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: argocd-repo-server-network-policy}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  ingress: []
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: argocd-redis-network-policy}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: argocd-redis}}
  ingress: []
`

// TestValues makes the values of the argo-cd chart from the components: go test ./deploy -run TestValues -update writes them.
func TestValues(t *testing.T) {
	for path, components := range charted {
		want := values(t, components)
		if *update {
			if err := os.WriteFile(path, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(want), read(t, path)); diff != "" {
			t.Errorf("%s is not what the components say; go test ./deploy -run TestValues -update (-want +got):\n%s", path, diff)
		}
	}
}

// values are those of https://github.com/argoproj/argo-helm/tree/main/charts/argo-cd.
func values(t *testing.T, components []string) []byte {
	t.Helper()
	all := kustomization{install: stub, components: components}.build(t)
	pod := dig(all[repoServer], "spec", "template", "spec").(map[string]any)
	server := map[string]any{
		// As in Argo CD's own manifests, and unlike the chart's default.
		"automountServiceAccountToken":  false,
		"terminationGracePeriodSeconds": pod["terminationGracePeriodSeconds"],
		"volumes":                       pod["volumes"],
	}
	var extra []any
	for _, c := range pod["containers"].([]any) {
		c := c.(map[string]any)
		if c["name"] != "argocd-repo-server" {
			extra = append(extra, c)
			continue
		}
		for _, key := range []string{"env", "volumeMounts"} {
			if list, _ := c[key].([]any); len(list) > 0 { // the chart can't take null for a list
				server[key] = list
			}
		}
	}
	server["extraContainers"] = extra
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Values for the chart argo-cd (https://argoproj.github.io/argo-helm) that add tagpin. They are made from deploy/%s.\n"+
		"# Copy this file and change your copy: Helm merges maps, but a second file replaces a list as a whole.\n",
		strings.Join(components, " and deploy/"))
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]any{
		"configs":      map[string]any{"params": dig(all["ConfigMap/argocd-cmd-params-cm"], "data")},
		"repoServer":   server,
		"extraObjects": extraObjects(t, all),
	}); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// extraObjects are the components' own objects. What they add to a policy of Argo CD's becomes a policy, where the chart has
// policies at all.
func extraObjects(t *testing.T, all objects) []any {
	t.Helper()
	var extra []any
	stubs := parse(t, []byte(stub))
	for _, key := range all.changed(t, stubs) {
		switch {
		case stubs[key] == nil:
			extra = append(extra, all[key])
		case strings.HasPrefix(key, "NetworkPolicy/"):
			policy := all[key]
			policy["metadata"] = map[string]any{"name": "tagpin-" + strings.TrimPrefix(strings.TrimSuffix(
				dig(policy, "metadata", "name").(string), "-network-policy"), "argocd-")}
			text, err := kyaml.Marshal(policy)
			if err != nil {
				t.Fatal(err)
			}
			extra = append(extra, "{{- if .Values.global.networkPolicy.create }}\n"+string(text)+"{{- end }}\n")
		}
	}
	return extra
}

func dig(o any, path ...string) any {
	for _, key := range path {
		o = o.(map[string]any)[key]
	}
	return o
}

// chart is, in few words, what the chart does with these values; the chart itself is not at hand.
const chart = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: argocd-repo-server}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  template:
    metadata: {labels: {app.kubernetes.io/name: argocd-repo-server}}
    spec:
      automountServiceAccountToken: {{ .Values.repoServer.automountServiceAccountToken }}
      terminationGracePeriodSeconds: {{ .Values.repoServer.terminationGracePeriodSeconds }}
      containers:
      - name: argocd-repo-server
        {{- with .Values.repoServer.env }}
        env: {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with .Values.repoServer.volumeMounts }}
        volumeMounts: {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- tpl (toYaml .Values.repoServer.extraContainers) $ | nindent 6 }}
      volumes: {{- toYaml .Values.repoServer.volumes | nindent 6 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cmd-params-cm}
data: {{- toYaml .Values.configs.params | nindent 2 }}
{{- if .Values.global.networkPolicy.create }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: argocd-repo-server}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: argocd-repo-server}}
  ingress:
  - from: [{podSelector: {matchLabels: {app.kubernetes.io/name: argocd-application-controller}}}]
    ports: [{port: 8081}]
{{- end }}
{{- range .Values.extraObjects }}
---
{{ if typeIs "string" . }}{{ tpl . $ }}{{ else }}{{ tpl (toYaml .) $ }}{{ end }}
{{- end }}
`

// Installed by the chart, the sidecar, its volumes and its objects are those of the component.
func TestValuesAreTheComponent(t *testing.T) {
	for path, components := range charted {
		t.Run(path, func(t *testing.T) {
			want := kustomization{install: stub, components: components}.build(t)
			got := template(t, path, true)
			a, b := as[*appsv1.Deployment](t, want, repoServer), as[*appsv1.Deployment](t, got, repoServer)
			if token := b.Spec.Template.Spec.AutomountServiceAccountToken; token == nil || *token {
				t.Error("the pod gets a service account token")
			}
			b.Spec.Template.Spec.AutomountServiceAccountToken = nil
			a.Spec.Template.Annotations = nil // in the chart the sidecar comes last
			if diff := cmp.Diff(a, b, unordered(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the Deployment (-component +chart):\n%s", diff)
			}
			for _, key := range want.changed(t, parse(t, []byte(stub))) {
				if key != repoServer && !strings.HasPrefix(key, "NetworkPolicy/") && !cmp.Equal(want[key], got[key]) {
					t.Errorf("%s (-component +chart):\n%s", key, cmp.Diff(want[key], got[key]))
				}
			}
			open := template(t, path, false)
			if !got.admits(t, "argocd-repo-server", controller, 8081) || !open.admits(t, "argocd-repo-server", controller, 8081) {
				t.Error("Argo CD's controller is shut out")
			}
			if hook := got.admits(t, "argocd-repo-server", stranger, 8083); hook != slices.Contains(components, "webhook") {
				t.Errorf("with the chart's policies, a registry reaches the hook's port: %v", hook)
			}
		})
	}
}

// template renders the stand-in for the chart.
func template(t *testing.T, valuesFile string, policies bool) objects {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"Chart.yaml": "{apiVersion: v2, name: argo-cd, version: 0.0.0}", "templates/all.yaml": chart} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := tool(t, "helm", "template", "argocd", dir, "--namespace", "argocd", "--values", valuesFile,
		"--set", fmt.Sprint("global.networkPolicy.create=", policies))
	if err != nil {
		t.Fatal(err)
	}
	all := parse(t, out)
	for key := range all {
		if key != repoServer { // its stub is no whole Deployment
			admit(t, all, key)
		}
	}
	return all
}
