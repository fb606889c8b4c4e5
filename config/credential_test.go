package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseCredential(t *testing.T) {
	for in, want := range map[string]Credential{
		"secret:ns/name#f":        {Kind: Secret, Namespace: "ns", Name: "name", Field: "f"},
		"SECRET:ns/my.name#.f-_A": {Kind: Secret, Namespace: "ns", Name: "my.name", Field: ".f-_A"},
		"secret:ns/name":          {Kind: Secret, Namespace: "ns", Name: "name"},
		"PullSecret:ns/name":      {Kind: PullSecret, Namespace: "ns", Name: "name", Field: ".dockerconfigjson"},
		"env:_TOKEN1":             {Kind: Env, Var: "_TOKEN1"},
		"ext:/usr/bin/login":      {Kind: Ext, Path: "/usr/bin/login"},
	} {
		got, err := ParseCredential(in)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
		if again, err := ParseCredential(got.String()); err != nil || again != got {
			t.Errorf("%s: canonical form %s: %+v, %v", in, got, again, err)
		}
	}
	for in, want := range map[string]string{
		"":                            "unknown credential source",
		"canary":                      "unknown credential source",
		"admin:canary":                "unknown credential source",
		"=secret:ns/name#f":           "unknown credential source",
		"secret:ns/name#f:canary":     "second colon",
		"secret:":                     `"" is not the name of a namespace`,
		"secret:ns":                   `"" is not the name of a Secret`,
		"secret:/name":                `"" is not the name of a namespace`,
		"secret:NS/name":              `"NS" is not the name of a namespace`,
		"secret:n.s/name":             `"n.s" is not the name of a namespace`,
		"secret:ns/../x#f":            `"../x" is not the name of a Secret`,
		"secret:../x#f":               `".." is not the name of a namespace`,
		"secret:ns/name#":             "the field after # is empty",
		"secret:ns/name#..":           `".." is not a field`,
		"secret:ns/name#..data":       `"..data" is not a field`,
		"secret:ns/name#a/b":          `"a/b" is not a field`,
		"secret:ns/name#a\n":          "is not a field",
		"secret:ns/name\n":            "is not the name of a Secret",
		"pullsecret:ns/name#f":        "a pull secret has no field",
		"env:":                        "name of an environment variable",
		"env:A-B":                     "name of an environment variable",
		"ext:bin/login":               "absolute path",
		"ext:/usr/../bin/login":       "absolute path",
		"secret:ns/" + long(254, 'a'): "is not the name of a Secret",
		"secret:" + long(64, 'a'):     "is not the name of a namespace",
	} {
		got, err := ParseCredential(in)
		if err == nil || !strings.Contains(err.Error(), want) || got != (Credential{}) {
			t.Errorf("%q: %+v, %v; want %s", in, got, err, want)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: the error shows a secret: %v", in, err)
		}
	}
}

func long(n int, r rune) string { return strings.Repeat(string(r), n) }

func TestParseRegistryCredential(t *testing.T) {
	for in, want := range map[string][2]string{
		"gcr.io=pullsecret:ns/name":       {"gcr.io", "pullsecret:ns/name"},
		"registry:5000=secret:ns/name#f":  {"registry:5000", "secret:ns/name#f"},
		"secret:ns/name#f":                {"", "secret:ns/name#f"},
		"ext:/opt/a=b":                    {"", "ext:/opt/a=b"},
		"=secret:ns/name":                 {},
		"gcr.io=secret:":                  {},
		"gcr.io=pullsecret:/mysecret":     {},
		"gcr.io=pullsecret:mynamespace":   {},
		"gcr.io=gcr.io=secret:ns/name#f":  {},
		"registry=admin:hunter2-password": {},
	} {
		registry, c, err := ParseRegistryCredential(in)
		if want[1] == "" {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %q, %v, %v", in, registry, c, err)
			}
		} else if err != nil || registry != want[0] || c.String() != want[1] {
			t.Errorf("%s: %q, %v, %v", in, registry, c, err)
		}
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, file string) {
	t.Helper()
	_ = os.Remove(file)
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsFollowTheKubelet(t *testing.T) {
	dir := t.TempDir()
	acr := filepath.Join(dir, "argocd", "acr")
	write(t, filepath.Join(acr, "..2026_01", "password"), "first\n")
	link(t, "..2026_01", filepath.Join(acr, "..data"))
	link(t, "..data/password", filepath.Join(acr, "password"))
	s := OpenSecrets(dir)
	read := func(want string) {
		t.Helper()
		if got, err := s.Read("argocd", "acr", "password"); err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	read("first")
	write(t, filepath.Join(acr, "..2026_02", "password"), "second\n\r\n")
	link(t, "..2026_02", filepath.Join(acr, "..data"))
	read("second\n") // rotated, and one line break is cut
}

func TestSecretsStayInside(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "secrets")
	write(t, filepath.Join(outer, "outside"), "canary")
	write(t, filepath.Join(dir, "ns", "name", "dir", "x"), "canary")
	write(t, filepath.Join(dir, "ns", "name", "huge"), "canary"+long(maxSecret, 'x'))
	write(t, filepath.Join(dir, "ns", "name", "ok"), "fine")
	link(t, "../../../outside", filepath.Join(dir, "ns", "name", "relative"))
	link(t, filepath.Join(outer, "outside"), filepath.Join(dir, "ns", "name", "absolute"))
	s := OpenSecrets(dir)
	for _, tt := range []struct{ ns, name, field, want string }{
		{"ns", "name", "relative", "reading secret:ns/name#relative from " + dir},
		{"ns", "name", "absolute", "reading secret:ns/name#absolute from " + dir},
		{"ns", "name", "huge", "it is larger than 1048576 bytes"},
		{"ns", "name", "dir", "it is not a file"},
		{"ns", "name", "", "name the field after #"},
		{"..", "name", "x", "is not the name of a namespace"},
		{"ns", "..", "x", "is not the name of a Secret"},
		{"ns", "name", "../ok", "is not a field"},
		{"ns", "absent", "f", "reading secret:ns/absent#f: " + dir + "/ns/absent/f is missing: mount the Secret absent of namespace ns at " + dir + "/ns/absent"},
	} {
		got, err := s.Read(tt.ns, tt.name, tt.field)
		if err == nil || got != "" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %q, %v", tt, got, err)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%v shows a secret", err)
		}
	}
	// An optional Secret that doesn't exist is a directory with nothing but the kubelet's own.
	write(t, filepath.Join(dir, "ns", "optional", "..2026", "x"), "canary")
	for name, mounted := range map[string]bool{"absent": false, "optional": false, "name": true} {
		_, err := s.Read("ns", name, "f")
		if !errors.Is(err, fs.ErrNotExist) || FieldMissing(err) != mounted || strings.Contains(err.Error(), "is mounted and has no field f") != mounted {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenSecrets("").Read("ns", "name", "f"); err == nil || !strings.Contains(err.Error(), "--secrets-dir") {
		t.Errorf("%v", err)
	}
}
