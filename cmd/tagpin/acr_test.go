package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tagpin/tagpin/test/acr"
)

// Scripts about Alibaba Cloud Container Registry reach all of its editions under their own names, through a proxy that records
// what is sent to whom.
func TestACR(t *testing.T) {
	cloud, err := acr.NewCloud(t.TempDir(), acr.Options{RedirectBlobs: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	cloud.Push(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	// Others who would like to have ACR's passwords.
	cloud.Net.Add(acr.Start(t, acr.Options{Realm: "tokens.evil.example"}), "ghcr.io", "registry.oss-cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com.evil.example")
	scripts, err := filepath.Glob("testdata/acr/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts { // one after the other: what is recorded is that script's
		t.Run("cloud", func(t *testing.T) { runOnCloud(t, cloud, script) })
	}
}

func runOnCloud(t *testing.T, cloud *acr.Cloud, script string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Files: []string{script},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// shown FILE writes which secret was sent to which hosts since the last time.
			"shown": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(whoSaw(cloud)), 0o600))
				cloud.Net.Forget()
			},
			// app FILE IMAGE [PARAMETER=VALUE]… writes an Application that writes nothing back.
			"app": func(ts *testscript.TestScript, _ bool, args []string) {
				text := strings.ReplaceAll(application, "IMAGE", args[1])
				for _, parameter := range args[2:] {
					name, value, _ := strings.Cut(parameter, "=")
					text += fmt.Sprintf("      - {name: %s, string: %q}\n", name, value)
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
			},
		},
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			variables, err := cloud.WriteFiles(env.WorkDir)
			for name, value := range variables {
				env.Setenv(name, value)
			}
			return err
		},
	})
}

const application = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: patient, namespace: argocd}
spec:
  project: default
  source:
    repoURL: https://git.example.com/demo.git
    path: helm
    plugin:
      name: tagpin
      parameters:
      - {name: write-back-method, string: none}
      - {name: image-list, string: "app=IMAGE"}
`

// whoSaw has a line for each secret and host that was sent it, plain or as part of something.
func whoSaw(cloud *acr.Cloud) string {
	lines := map[string]bool{}
	secrets := map[string]string{"the AccessKey's secret": cloud.Key.Secret, "the service account's token": cloud.Role.Token}
	for _, s := range cloud.Registries() {
		user, password, _ := strings.Cut(s.Login(), ":")
		secrets["the password of "+user] = password
		secrets["the login of "+user] = base64.StdEncoding.EncodeToString([]byte(s.Login()))
	}
	for _, seen := range cloud.Net.Seen() {
		for name, secret := range secrets {
			if strings.Contains(seen.Sent, secret) || strings.Contains(seen.Sent, url.QueryEscape(secret)) {
				lines[fmt.Sprintf("%s: %s://%s\n", name, seen.Scheme, seen.Host)] = true
			}
		}
		if seen.User() == "cr_temp_user" {
			lines[fmt.Sprintf("a temporary login: %s://%s\n", seen.Scheme, seen.Host)] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(lines)), "")
}
