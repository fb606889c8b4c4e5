{{/* The name of the chart, or what the user prefers. */}}
{{- define "webshop.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The prefix of all names. */}}
{{- define "webshop.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := include "webshop.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of one component: dict "root" $ "component" "catalog". */}}
{{- define "webshop.component.fullname" -}}
{{- printf "%s-%s" (include "webshop.fullname" .root) .component | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "webshop.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "webshop.labels" -}}
helm.sh/chart: {{ include "webshop.chart" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ include "webshop.name" . }}
{{- range $key, $value := .Values.commonLabels }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "webshop.selectorLabels" -}}
app.kubernetes.io/name: {{ include "webshop.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "webshop.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "webshop.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "webshop.secretName" -}}
{{- .Values.secrets.existing | default (printf "%s-keys" (include "webshop.fullname" .)) }}
{{- end }}

{{/* One image: dict "root" $ "image" .Values.catalog.image. */}}
{{- define "webshop.image" -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion -}}
{{- printf "%s:%s" (required "image.repository is needed" .image.repository) $tag -}}
{{- end }}

{{- define "webshop.env" -}}
- name: RELEASE
  value: {{ .Release.Name | quote }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ tpl ($value | toString) $ | quote }}
{{- end }}
- name: CACHE_ADDRESS
  value: {{ printf "%s-cache.%s.svc.%s:%v" .Release.Name .Release.Namespace .Values.global.clusterDomain .Values.cacheExports.port | quote }}
- name: SESSION_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "webshop.secretName" . }}
      key: sessionKey
{{- end }}

{{- define "webshop.probes" -}}
{{- with .Values.probes }}
livenessProbe:
  httpGet: {path: {{ .path }}, port: http}
  initialDelaySeconds: {{ .initialDelaySeconds }}
  periodSeconds: {{ .periodSeconds }}
readinessProbe:
  httpGet: {path: {{ .path }}, port: http}
  periodSeconds: {{ .periodSeconds }}
{{- end }}
{{- end }}

{{/* What all pods share: dict "root" $ "component" "catalog". */}}
{{- define "webshop.podSettings" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
serviceAccountName: {{ include "webshop.serviceAccountName" .root }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.topologySpread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "webshop.selectorLabels" . | nindent 8 }}
{{- end }}
{{- end }}
