package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What the very large chart holds: about what a monitoring stack for a whole company has.
const (
	crds      = 10  // definitions in crds/, with schemas of some 3,000 lines each
	ruleFiles = 40  // templates with a group of alerts each
	teams     = 600 // each with rules, a monitor and a binding of its own: 1,800 objects
)

// writeLarge writes a chart with deep schemas, rules and thousands of objects into dir. It is the same each time.
func writeLarge(dir string) error {
	files := map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: platform\nversion: 1.0.0\nappVersion: \"3.1\"\n" +
			"dependencies: [{name: definitions, version: 1.0.0, condition: definitions.enabled}]\n",
		"values.yaml":                          largeValues(),
		"templates/_helpers.tpl":               largeHelpers,
		"templates/teams.yaml":                 largeTeams,
		"charts/definitions/Chart.yaml":        "apiVersion: v2\nname: definitions\nversion: 1.0.0\n",
		"charts/definitions/values.yaml":       "enabled: true\n",
		"charts/definitions/templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: definitions}\n",
	}
	for n := range crds {
		files[fmt.Sprintf("charts/definitions/crds/kind%02d.yaml", n)] = definition(n)
	}
	for n := range ruleFiles {
		files[fmt.Sprintf("templates/rules/group%02d.yaml", n)] = ruleTemplate(n)
	}
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const largeHelpers = `{{- define "platform.name" -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "platform.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end }}
`

const largeTeams = `{{- range $team := .Values.teams }}
---
apiVersion: monitoring.example.com/v1
kind: Rule
metadata:
  name: {{ include "platform.name" $ }}-{{ $team.name }}
  namespace: {{ $team.namespace | default $.Release.Namespace }}
  labels:
    {{- include "platform.labels" $ | nindent 4 }}
    team: {{ $team.name }}
spec:
  groups:
    - name: {{ $team.name }}.rules
      rules:
        {{- range $severity, $limit := $team.limits }}
        - alert: {{ $team.name | title }}{{ $severity | title }}
          expr: |-
            sum(rate(requests_total{namespace="{{ $team.namespace }}",code=~"5.."}[5m]))
              / sum(rate(requests_total{namespace="{{ $team.namespace }}"}[5m])) > {{ $limit }}
          for: {{ $.Values.rules.for | quote }}
          labels: {severity: {{ $severity }}}
        {{- end }}
---
apiVersion: monitoring.example.com/v1
kind: Monitor
metadata:
  name: {{ include "platform.name" $ }}-{{ $team.name }}
  namespace: {{ $team.namespace | default $.Release.Namespace }}
  labels:
    {{- include "platform.labels" $ | nindent 4 }}
spec:
  selector: {matchLabels: {team: {{ $team.name }}}}
  endpoints:
    {{- toYaml $.Values.endpoints | nindent 4 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "platform.name" $ }}-{{ $team.name }}
  namespace: {{ $team.namespace | default $.Release.Namespace }}
  labels:
    {{- include "platform.labels" $ | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $team.role | default "view" }}}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: {{ $team.name | quote }}}]
{{- end }}
`

func largeValues() string {
	var b strings.Builder
	b.WriteString("# The values of a platform.\ncommonLabels:\n  environment: \"{{ .Release.Namespace }}\"\nimage: {repository: registry.example.com/platform, tag: \"3.1\"}\n" +
		"endpoints:\n- {port: metrics, interval: 30s, path: /metrics}\n- {port: admin, interval: 60s, path: /stats}\nrules:\n  for: 10m\n  disabled: {}\ndefinitions: {enabled: true}\nteams:\n")
	for n := range teams {
		fmt.Fprintf(&b, "- name: team-%03d\n  namespace: space-%03d\n  # how much may fail\n  limits: {warning: 0.%02d, critical: 0.%02d}\n", n, n, n%50+1, n%50+40)
	}
	return b.String()
}

func ruleTemplate(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{{- if not (get .Values.rules.disabled \"group%02d\") }}\napiVersion: monitoring.example.com/v1\nkind: Rule\nmetadata:\n"+
		"  name: {{ include \"platform.name\" . }}-group%02d\n  labels:\n    {{- include \"platform.labels\" . | nindent 4 }}\nspec:\n  groups:\n  - name: group%02d\n    rules:\n", n, n, n)
	for r := range 25 {
		fmt.Fprintf(&b, "    {{- if not (.Values.rules.disabled.alert%d | default false) }}\n    - alert: Alert%02d%02d\n      annotations:\n"+
			"        description: 'Instance {{`{{`}} $labels.instance {{`}}`}} of group %d has failed {{`{{`}} $value {{`}}`}} times.'\n"+
			"        runbook_url: {{ .Values.rules.runbook | default \"https://runbooks.example.com\" }}/alert%d\n      expr: |-\n"+
			"        max by (namespace, pod) (failures_total{job=\"group%02d\",code=\"%d\"} offset 5m) > %d\n          unless on (namespace) muted == 1\n"+
			"      for: {{ .Values.rules.for }}\n      labels:\n        severity: warning\n        {{- with .Values.rules.labels }}\n        {{- toYaml . | nindent 8 }}\n        {{- end }}\n    {{- end }}\n", r, n, r, n, r, n, r, r*7)
	}
	b.WriteString("{{- end }}\n")
	return b.String()
}

func definition(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: kind%02ds.example.com\nspec:\n  group: example.com\n"+
		"  names: {kind: Kind%02d, plural: kind%02ds}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n", n, n, n)
	schema(&b, 10, 4)
	return b.String()
}

// schema writes five properties, each with five below it, and so on.
func schema(b *strings.Builder, indent, depth int) {
	pad := strings.Repeat(" ", indent)
	for n := range 5 {
		fmt.Fprintf(b, "%sfield%d:\n%s  description: |-\n%s    Says what this part does, and what happens when it is left out.\n", pad, n, pad, pad)
		if depth == 0 {
			fmt.Fprintf(b, "%s  type: string\n", pad)
			continue
		}
		fmt.Fprintf(b, "%s  type: object\n%s  properties:\n", pad, pad)
		schema(b, indent+4, depth-1)
	}
}
