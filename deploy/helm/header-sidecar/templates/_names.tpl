{{/* The name of all objects: the release's. */}}
{{- define "header-sidecar.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "header-sidecar.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "header-sidecar.labels" -}}
{{ include "header-sidecar.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "header-sidecar.policy" -}}
{{- .Values.existingPolicy | default (printf "%s-policy" (include "header-sidecar.name" .)) -}}
{{- end -}}
