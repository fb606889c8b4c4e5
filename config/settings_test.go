package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) Settings {
	t.Helper()
	s, err := Parse("/etc/tagpin/tagpin.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	s := parse(t, `
bindings:
- credential: SECRET:argocd/acr
  kind: registry
  url: registry.cn-hangzhou.aliyuncs.com/team/
  projects: [shop, shop-*]
defaults:
  write-back-method: none
limits:
  archive-bytes: 1Gi
  file-bytes: 1048576
  render-timeout: 30s
  concurrent-renders: 4
proposals:
  prefix: image-updater-
network:
  allow: [Registry.Internal., 10.0.0.0/8, 192.168.1.7]
applications:
  allow-empty: [preview-*]
`)
	if b := s.Bindings[0]; b.Credential.String() != "secret:argocd/acr" || b.Kind != Registry ||
		b.URL.String() != "https://registry.cn-hangzhou.aliyuncs.com/team" || len(b.Projects) != 2 {
		t.Errorf("binding %+v", b)
	}
	want := Default().Limits
	want.ArchiveBytes, want.FileBytes, want.RenderTimeout, want.ConcurrentRenders = 1<<30, 1<<20, 30*time.Second, 4
	if diff := cmp.Diff(want, s.Limits); diff != "" {
		t.Error(diff)
	}
	if s.Defaults.WriteBackMethod != "none" || s.Proposals.Prefix != "image-updater-" || !s.AllowsEmpty("preview-7") || s.AllowsEmpty("shop") {
		t.Errorf("%+v", s)
	}
	for addr, allowed := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "192.168.1.7": true, "192.168.1.8": false, "169.254.169.254": false} {
		if s.MayDial("evil.example", netip.MustParseAddr(addr)) != allowed {
			t.Errorf("may dial %s: %v", addr, !allowed)
		}
	}
	private := netip.MustParseAddr("192.168.9.9")
	for host, allowed := range map[string]bool{"registry.internal": true, "REGISTRY.internal.": true, "registry.cn-hangzhou.aliyuncs.com": true, "x.registry.internal": false, "": false} {
		if s.MayDial(host, private) != allowed {
			t.Errorf("may dial %q: %v", host, !allowed)
		}
	}
}

func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", "# all commented out\n", "---\n", "bindings:\nlimits:\nnetwork:\n  allow:\n", "{}"} {
		if diff := cmp.Diff(Default().Limits, parse(t, text).Limits); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const binding = "bindings:\n- credential: secret:a/b\n  kind: git\n  url: https://h/x\n"
	for text, want := range map[string]string{
		"bindngs: []":                                         `tagpin.yaml:1: unknown key "bindngs" (did you mean "bindings"?); known here: bindings, defaults, limits, proposals, updates, network, kustomize, acr, applications`,
		"limits:\n  archive-byte: 1":                          `tagpin.yaml:2: limits: unknown key "archive-byte" (did you mean "archive-bytes"?)`,
		"limits: {}\nnetwork: {}\nlimits: ":                   `tagpin.yaml:3: key "limits" stands in line 1 already`,
		"limits: 5":                                           `tagpin.yaml:1: limits: want keys with values, got "5"`,
		"bindings: {}":                                        `tagpin.yaml:1: bindings: want a list, got keys with values`,
		"bindings: [null]":                                    `tagpin.yaml:1: bindings: entry 1 is empty`,
		"- a":                                                 `tagpin.yaml:1: want keys with values, got a list`,
		"limits:\n  archive-bytes: 5 MB":                      `tagpin.yaml:2: archive-bytes: "5 MB" is not a size: write whole bytes as a quantity, like 512Mi or 1Gi`,
		"limits:\n  archive-bytes: -1":                        `tagpin.yaml:2: archive-bytes: "-1" is not a size`,
		"limits:\n  archive-files: many":                      `tagpin.yaml:2: archive-files: want a whole number, got "many"`,
		"limits:\n  archive-files: 0":                         `tagpin.yaml:2: limits: archive-files must be at least 1`,
		"limits:\n  file-bytes: 1Gi":                          `tagpin.yaml:2: limits: file-bytes is greater than archive-bytes`,
		"limits:\n  render-timeout: 45":                       `tagpin.yaml:2: render-timeout: "45" is not a duration: write it like 45s or 1m30s`,
		"limits:\n  render-timeout: 0s":                       `tagpin.yaml:2: limits: render-timeout must be between 1s and 1h`,
		"limits:\n  concurrent-renders: -1":                   `concurrent-renders must be 0 (as many as cores) or more`,
		"applications:\n  allow-empty: ['[']":                 `tagpin.yaml:2: allow-empty: "[" is not a pattern`,
		"applications:\n  allow-empty: [true]":                `tagpin.yaml:2: allow-empty: want text, got "true"`,
		"network:\n  allow: [https://h]":                      `tagpin.yaml:2: allow: write a host name without scheme and port`,
		"network:\n  allow: [10.1.2.3/8]":                     `tagpin.yaml:2: allow: the network 10.1.2.3/8 has bits behind its length: write 10.0.0.0/8`,
		"defaults:\n  write-back-method: gut":                 `tagpin.yaml:2: write-back-method: unknown write-back-method: write none, git, git:repocreds or git:secret:<namespace>/<name>`,
		"defaults:\n  write-back-method: git:env:X":           `write-back takes secret:<namespace>/<name>`,
		binding + "  projekts: [a]":                           `tagpin.yaml:5: bindings: unknown key "projekts" (did you mean "projects"?)`,
		"proposals:\n  prefix: ''":                            `tagpin.yaml:2: prefix: "" can't begin the name of a branch`,
		"proposals:\n  prefix: refs/heads/x":                  `can't begin the name of a branch`,
		"proposals:\n  prefix: -x":                            `can't begin the name of a branch`,
		"bindings:\n- kind: git\n":                            `tagpin.yaml:2: bindings: this binding lacks credential and url`,
		"bindings:\n- kind: registri\n":                       `tagpin.yaml:2: kind: unknown kind "registri" (did you mean "registry"?): write git, registry, chart, base or file`,
		"bindings:\n- {kind: git, url: h/x}\n":                `tagpin.yaml:2: bindings: this binding lacks credential`,
		"bindings:\n- {kind: file, url: h/x, name: a}\n":      `tagpin.yaml:2: bindings: only a chart repository has a name`,
		"bindings:\n- {kind: chart, url: h/x, name: '@a'}\n":  `"@a" is not the name of a chart repository`,
		"limits:\n  fetch-timeout: 0s":                        `tagpin.yaml:2: limits: fetch-timeout must be between 1s and 1h`,
		"bindings:\n- url: https://user:canary@h/\n":          `tagpin.yaml:2: url: the URL holds user information`,
		"bindings:\n- credential: admin:canary\n":             `tagpin.yaml:2: credential: unknown credential source: write secret:`,
		"bindings:\n- credential: secret:Bad/name\n":          `tagpin.yaml:2: credential: secret:Bad/name: "Bad" is not the name of a namespace`,
		"limits: &a {}\nnetwork: *a":                          `tagpin.yaml:1: limits: anchors and aliases are not read here`,
		"? [a]\n: b":                                          `tagpin.yaml:1: want a plain key, got a list`,
		"a: [":                                                `tagpin.yaml:1: not YAML: did not find expected node content`,
		"limits: {}\n---\nlimits: {}":                         `tagpin.yaml:2: a second document: write one only`,
		"limits: {}\n---\na: [":                               `not YAML`,
		"limitz: {}\nlimits:\n  archive-files: x":             "tagpin.yaml:3: archive-files", // all at once
		strings.Repeat("#", maxFile+1):                        `settings of more than 1048576 bytes`,
		"limits:\n  archive-files: 99999999999999999999":      `want a whole number`,
		"network:\n  allow:\n  - \n":                          `entry 1 is empty`,
		"network:\n  allow: [[a]]":                            `want text, got a list`,
		"limits:\n  archive-bytes:\n":                         `archive-bytes: want text, got nothing`,
		"bindings:\n- credential: secret:a/b\n  url: ssh:///": `the URL has no valid host name`,
	} {
		_, err := Parse("/some/where/tagpin.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q:\n got %v\nwant %s", text, err, want)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%v shows a secret", err)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tagpin.yaml")
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a missing file that was named: %v", err)
	}
	if err := os.WriteFile(file, []byte("limits: {archive-files: 7}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(file); err != nil || s.Limits.ArchiveFiles != 7 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := os.Stat(DefaultPath); err == nil {
		t.Skip(DefaultPath + " exists here")
	}
	if s, err := Load(""); err != nil || s.Limits != Default().Limits {
		t.Errorf("%+v, %v", s, err)
	}
}

// The example of the documentation is a whole file, and shows every key.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../docs/operator-settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```yaml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("no example")
	}
	s := parse(t, example)
	if len(s.Bindings) < 3 || s.Limits != Default().Limits || s.Proposals != Default().Proposals {
		t.Errorf("the limits or proposals of the example are not the defaults: %+v, %+v", s.Limits, s.Proposals)
	}
	for _, key := range []string{
		"credential", "kind", "url", "projects", "applications", "repositories", "paths", "branches", "write-back-method",
		"archive-bytes", "archive-files", "file-bytes", "manifest-bytes", "render-timeout", "concurrent-renders", "prefix", "allow", "allow-empty",
	} {
		if !strings.Contains(example, key+":") {
			t.Errorf("the example lacks %s", key)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("bindings:\n- credential: secret:a/b\n  kind: git\n  url: https://h/x\n")
	f.Add("limits: {archive-bytes: 1e3, render-timeout: 1h}\nnetwork: {allow: [a, 10.0.0.0/8]}")
	f.Add("a: &a [*a]\n---\n? x\n: y")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f", []byte(text))
		if err != nil {
			return
		}
		if s.Limits.ArchiveBytes < 1 || s.Limits.ArchiveFiles < 1 || s.Limits.check() != nil {
			t.Errorf("limits %+v", s.Limits)
		}
		for _, b := range s.Bindings {
			if b.check() != nil {
				t.Errorf("binding %+v", b)
			}
		}
	})
}
