package acr

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// WriteFiles makes below dir what an operator makes: mounted Secrets, registries.conf, tagpin.yaml, and Applications. It returns
// the environment of the sidecar, which is also in the file env, for a shell.
func (c *Cloud) WriteFiles(dir string) (env map[string]string, err error) {
	secrets := filepath.Join(dir, "secrets")
	env = map[string]string{
		"HTTPS_PROXY":                     c.Proxy.URL(),
		"HTTP_PROXY":                      c.Proxy.URL(),
		"SSL_CERT_FILE":                   filepath.Join(dir, "ca.pem"),
		"TAGPIN_SECRETS_DIR":              secrets,
		"TAGPIN_REGISTRIES_CONF_PATH":     filepath.Join(dir, "registries.conf"),
		"TAGPIN_SETTINGS":                 filepath.Join(dir, "tagpin.yaml"),
		"ALIBABA_CLOUD_ROLE_ARN":          c.Role.ARN,
		"ALIBABA_CLOUD_OIDC_PROVIDER_ARN": c.Role.Provider,
		"ALIBABA_CLOUD_OIDC_TOKEN_FILE":   c.RoleToken,
	}
	var exports strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&exports, "export %s='%s'\n", name, env[name])
	}
	for name, text := range map[string]string{
		"ca.pem":                               string(c.Proxy.CA()),
		"secrets/argocd/acr/acr":               c.Hangzhou.Login(), // the guide's
		"secrets/argocd/acr-shanghai/acr":      c.Shanghai.Login(),
		"secrets/argocd/acr-own/acr":           c.Own.Login(),
		"secrets/argocd/ram/access-key-id":     c.Key.ID,
		"secrets/argocd/ram/access-key-secret": c.Key.Secret,
		"registries.conf":                      registriesConf,
		"tagpin.yaml":                          tagpinYAML,
		"applications.yaml":                    applications(),
		"env":                                  exports.String(),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// registriesConf needs no entry for cn-hangzhou: the Secret argocd/acr serves it.
const registriesConf = `registries:
- name: Shanghai
  api_url: https://` + ShanghaiHost + `
  prefix: ` + ShanghaiHost + `
  credentials: secret:argocd/acr-shanghai#acr
- name: a personal instance
  api_url: https://` + OwnHost + `
  prefix: ` + OwnHost + `
  credentials: secret:argocd/acr-own#acr
- name: a domain of our own
  api_url: https://` + CustomHost + `
  prefix: ` + CustomHost + `
  acr_instance_id: ` + InstanceID + `
  acr_region: cn-shanghai
`

const tagpinYAML = `acr:
  instances:
  - instance-id: ` + InstanceID + `
    name: demo
    region: cn-shanghai
    auth: rrsa   # or secret:argocd/ram
network:
  allow: [127.0.0.1]   # the proxy
`

// applications has one for each registry. They write nothing back.
func applications() string {
	var b strings.Builder
	for _, app := range [][2]string{
		{"personal", PersonalVPCHost}, {"shanghai", ShanghaiHost}, {"own", OwnHost}, {"enterprise", InstanceVPCHost}, {"custom", CustomHost},
	} {
		fmt.Fprintf(&b, `---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s, namespace: argocd}
spec:
  project: default
  source:
    repoURL: https://git.example.com/demo.git
    path: helm
    plugin:
      name: tagpin
      parameters:
      - {name: image-list, string: app=%s/%s}
      - {name: app.update-strategy, string: newest-build}
      - {name: write-back-method, string: none}
`, app[0], app[1], Repository)
	}
	return b.String()
}
