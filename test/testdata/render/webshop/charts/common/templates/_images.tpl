{{- define "common.image" -}}
{{ .registry }}/{{ .repository }}:{{ .tag }}
{{- end }}
