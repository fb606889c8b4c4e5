package plugin

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/reposerver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"

	"github.com/tagpin/tagpin/image"
)

func byName(all []*apiclient.ParameterAnnouncement) map[string]*apiclient.ParameterAnnouncement {
	found := map[string]*apiclient.ParameterAnnouncement{}
	for _, a := range all {
		found[a.Name] = a
	}
	return found
}

func TestAnnouncements(t *testing.T) {
	g := NewGenerator(Settings{Version: "v1.2.3"})
	app := image.Application{Name: "echo", RepoURL: "https://git.example.com/demo.git", Path: "echo"}
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	g.memory.remember(app, image.Choice{Image: image.Image{Registry: "example.com", Repository: "echo"}, Strategy: image.SemVer, Tag: "v2.0"}, at)
	all := byName(g.announcements(Dir{writeTree(t, chart), "echo"}, map[string]string{
		envAppName: "echo", envSourceRepoURL: app.RepoURL, envSourcePath: "echo",
		envParameters: `[{"name":"image-list","string":"web=example.com/echo:^2,example.com/side"},{"name":"allow-tags","string":"regexp:^v"},` +
			`{"name":"helm.parameters","map":{"a":"b"}}]`,
		"ARGOCD_ENV_WEB_MIN_AGE": "2h",
	}))
	for name, want := range map[string]apiclient.ParameterAnnouncement{
		"image-list":          {Title: "Images (tagpin v1.2.3; now web v2.0)", ItemType: "string", CollectionType: "string", String_: "web=example.com/echo:^2,example.com/side"},
		"web.update-strategy": {Title: "web: Update strategy (now v2.0, chosen 2026-03-01 12:30 UTC by semver)", ItemType: "string", CollectionType: "string", String_: "semver"},
		"web.allow-tags":      {Title: "web: Allowed tags", ItemType: "string", CollectionType: "string", String_: "regexp:^v"},
		"web.min-age":         {Title: "web: Minimum age", ItemType: "string", CollectionType: "string", String_: "2h"},
		"web.helm.image-tag":  {Title: "web: Helm value for the image tag", ItemType: "string", CollectionType: "string"},
		"hold":                {Title: "Hold updates", ItemType: "boolean", CollectionType: "string", String_: "false"},
		"write-back-method":   {Title: "Write-back method", ItemType: "string", CollectionType: "string", Required: true},
		"ignore-tags":         {Title: "Ignored tags", ItemType: "string", CollectionType: "array"},
	} {
		got := all[name]
		if got == nil {
			t.Errorf("%s is not announced", name)
			continue
		}
		if got.Tooltip == "" {
			t.Errorf("%s has no tooltip", name)
		}
		if got.Title != want.Title || got.ItemType != want.ItemType || got.CollectionType != want.CollectionType ||
			got.String_ != want.String_ || got.Required != want.Required {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	if got := all["helm.parameters"].Map["a"]; got != "b" {
		t.Errorf("helm.parameters %v", all["helm.parameters"])
	}
	for name := range all {
		if strings.Contains(name, "kustomize.") {
			t.Errorf("%s is announced for a chart", name)
		}
	}
}

// Every parameter can be found in the form, also when what is set so far is wrong.
func TestAnnouncementsOfEverything(t *testing.T) {
	g := NewGenerator(Settings{Defaults: image.Defaults{WriteBackMethod: "none"}})
	for name, env := range map[string]map[string]string{
		"nothing":                {},
		"broken parameters":      {envAppName: "echo", envParameters: "["},
		"unknown parameter":      {envAppName: "echo", envParameters: `[{"name":"imagelist","string":"x"}]`},
		"broken image-list":      {envAppName: "echo", envParameters: `[{"name":"image-list","string":"=,,="}]`},
		"image-list as an array": {envAppName: "echo", envParameters: `[{"name":"image-list","array":["a=b"]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			all := byName(g.announcements(Dir{t.TempDir(), "."}, env))
			for _, d := range image.Definitions() {
				if a := all[d.Name]; a == nil && !d.AliasOnly {
					t.Errorf("%s is not announced", d.Name)
				} else if a != nil && a.Required {
					t.Errorf("%s is required", d.Name)
				}
			}
		})
	}
}

// An announced value is what holds anyway: who writes it down changes nothing.
func TestAnnouncedDefaultsAreValid(t *testing.T) {
	g := NewGenerator(Settings{})
	env := map[string]string{envAppName: "echo", envParameters: `[{"name":"image-list","string":"web=example.com/echo"}]`}
	for _, a := range g.announcements(Dir{t.TempDir(), "."}, env) {
		if a.String_ == "" || a.Name == "image-list" {
			continue
		}
		r := request(t, "", "image-list", "web=example.com/echo", a.Name, a.String_)
		if _, err := image.ParseOptions(image.Input{Parameters: r.Parameters, Defaults: image.Defaults{WriteBackMethod: "none"}}); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}

// The stock argocd-cmp-server reads the same announcements from the command's output.
func TestAnnouncementsOverBothWays(t *testing.T) {
	s := start(t, options(t, shortDir(t)), nil)
	tree := map[string]string{".git/x": "", "echo/charts/sub/Chart.yaml": "x"}
	for n, text := range chart {
		tree[n] = text
	}
	root := writeTree(t, tree)
	env := append([]string{`ARGOCD_APP_PARAMETERS=[{"name":"image-list","string":"web=example.com/echo"}]`}, echoEnv...)
	stream, err := s.client.GetParametersAnnouncement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(t.Context(), root+"/echo", root, stream, env, nil); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := NewGenerator(Settings{}).WriteAnnouncements(&out, Dir{root, "echo"}, env); err != nil {
		t.Fatal(err)
	}
	var printed []*apiclient.ParameterAnnouncement
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		t.Fatal(err)
	}
	ours, _ := json.Marshal(answer.ParameterAnnouncements)
	theirs, _ := json.Marshal(printed)
	if !bytes.Equal(ours, theirs) || len(printed) == 0 || strings.Contains(string(ours), "kustomize.") {
		t.Errorf("over gRPC %s\nprinted %s", ours, theirs)
	}
}
