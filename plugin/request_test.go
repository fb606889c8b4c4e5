package plugin

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/image"
)

func ptr(s string) *string { return &s }

func TestParseRequest(t *testing.T) {
	got, err := ParseEnviron([]string{
		"HOME=/canary",
		"ARGOCD_APP_NAME=team_echo",
		"ARGOCD_APP_NAMESPACE=demo",
		"ARGOCD_APP_REVISION=0123",
		"ARGOCD_APP_SOURCE_REPO_URL=https://git.example.com/demo.git",
		"ARGOCD_APP_SOURCE_PATH=apps/echo",
		"ARGOCD_APP_SOURCE_TARGET_REVISION=main",
		"KUBE_VERSION=1.31.2",
		"KUBE_API_VERSIONS=v1,apps/v1/Deployment",
		"ARGOCD_ENV_IMAGE_LIST=web=nginx",
		"ARGOCD_ENV_IMAGE_LIST=web=nginx:~1.2=x",
		"ARGOCD_GIT_ASKPASS_NONCE=canary",
		`ARGOCD_APP_PARAMETERS=[{"name":"image-list","array":["a=b"]},{"name":"hold","string":""},{"name":"helm.parameters","map":{}}]`,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Request{
		App: image.Application{Name: "team_echo", RepoURL: "https://git.example.com/demo.git", Path: "apps/echo",
			TargetRevision: "main", Revision: "0123"},
		Namespace:   "demo",
		KubeVersion: "1.31.2",
		APIVersions: []string{"v1", "apps/v1/Deployment"},
		Parameters: []image.Parameter{
			{Name: "image-list", Array: []string{"a=b"}}, {Name: "hold", String: ptr("")}, {Name: "helm.parameters", Map: map[string]string{}},
		},
		Env: map[string]string{"IMAGE_LIST": "web=nginx:~1.2=x"},
		Substitution: map[string]string{
			"ARGOCD_APP_NAME": "team_echo", "ARGOCD_APP_NAMESPACE": "demo", "ARGOCD_APP_REVISION": "0123",
			"ARGOCD_APP_SOURCE_REPO_URL": "https://git.example.com/demo.git", "ARGOCD_APP_SOURCE_PATH": "apps/echo",
			"ARGOCD_APP_SOURCE_TARGET_REVISION": "main", "ARGOCD_ENV_IMAGE_LIST": "web=nginx:~1.2=x",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseRequestErrors(t *testing.T) {
	for name, c := range map[string]struct{ parameters, app, want string }{
		"no parameters":   {"", "echo", ""},
		"null parameters": {"null", "echo", ""},
		"broken JSON":     {"[", "echo", "application echo: reading the plugin parameters: unexpected end of JSON input"},
		"no application": {"", "", "ARGOCD_APP_NAME is not set: run tagpin as an Argo CD plugin, or name an Application manifest " +
			"with --app"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseRequest(map[string]string{envAppName: c.app, envParameters: c.parameters})
			wantError(t, err, c.want)
		})
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error\n got: %s\nwant: %s", got, want)
	}
}

func TestStreamed(t *testing.T) {
	for revision, want := range map[string]bool{"streamed": true, "": false, "0123": false} {
		if got := (Request{App: image.Application{Revision: revision}}).Streamed(); got != want {
			t.Errorf("%q: %v", revision, got)
		}
	}
}

func TestFindRoot(t *testing.T) {
	for _, c := range []struct {
		name, cwd, path string
		want            Dir
	}{
		{"whole repository", "/tmp/_cmp_server/u/apps/echo", "apps/echo", Dir{"/tmp/_cmp_server/u", "apps/echo"}},
		{"with dots and slashes", "/tmp/u/apps/echo", "./apps//echo/", Dir{"/tmp/u", "apps/echo"}},
		{"subtree of manifest-generate-paths", "/tmp/u/echo", "apps/echo", Dir{"/tmp/u", "echo"}},
		{"the subtree is the application", "/tmp/u", "apps/echo", Dir{"/tmp/u", "."}},
		{"root of the repository", "/tmp/u", ".", Dir{"/tmp/u", "."}},
		{"no path", "/tmp/u", "", Dir{"/tmp/u", "."}},
		{"part of a name", "/tmp/u/myecho", "echo", Dir{"/tmp/u/myecho", "."}},
		{"climbs", "/tmp/u/echo", "../../echo", Dir{"/tmp/u", "echo"}},
		{"never the file system's root", "/echo", "echo", Dir{"/echo", "."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := FindRoot(c.cwd, c.path); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func FuzzParseEnviron(f *testing.F) {
	f.Add("echo", `[{"name":"a","string":"b"}]`, "v1,apps/v1")
	f.Add("", "null", "")
	f.Fuzz(func(t *testing.T, app, parameters, apis string) {
		r, err := ParseEnviron([]string{envAppName + "=" + app, envParameters + "=" + parameters, envKubeAPIs + "=" + apis})
		if err == nil && r.App.Name != app {
			t.Errorf("application %q became %q", app, r.App.Name)
		}
	})
}
