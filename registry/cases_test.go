package registry_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/registry"
)

// A difference is where argocd-image-updater or Kargo does otherwise, on purpose. docs/registries.md repeats it.
type difference struct {
	Case, Theirs, Ours, Reason string
	want                       any // nil: an error
}

func confDifferences() []difference {
	return []difference{
		{Case: "credsexpire-bare-int", Theirs: "`credsexpire: 30` is 30 nanoseconds", Ours: "an error",
			Reason: "nobody means that"},
		{Case: "limit-negative", Theirs: "a negative `limit` is no limit", Ours: "an error",
			Reason: "a registry without a limit throttles everybody; write a high one"},
		{Case: "two-defaults", Theirs: "parsed, refused when it is loaded", Ours: "an error with the line",
			Reason: "there is one step here"},
	}
}

func credentialDifferences() []difference {
	return []difference{
		{Case: "cred-secret:mynamespace/mysecret#anyfield-True", Theirs: "some places need `<registry>=` before the reference",
			Ours: "it is optional everywhere", Reason: "the image already names the registry; where both are given they must agree",
			want: &credential{Type: "secret", Namespace: "mynamespace", Name: "mysecret", Field: "anyfield"}},
		{Case: "cred-pullsecret:ns/name#f-False", Theirs: "the Secret `name#f`", Ours: "an error",
			Reason: "no Secret can have that name; a field was meant, and a pull secret has none to choose"},
	}
}

func dateDifferences() []difference {
	const labels = "images inherit the labels of their base image, so a label alone would date them by that"
	return []difference{
		{Case: "kargo-created-06", Theirs: "an older annotation (`org.label-schema.build-date`) counts", Ours: "only `org.opencontainers.image.created` does",
			Reason: "the older convention was given up for this one", want: "2023-01-01"},
		{Case: "kargo-created-07", Theirs: "a label of the config counts, if it is later than `created`", Ours: "labels don't count",
			Reason: labels, want: "2023-01-01"},
		{Case: "kargo-created-10", Theirs: "a label counts where `created` is missing", Ours: "the image has no date then", Reason: labels, want: "zero time"},
	}
}

func readCases(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile("../test/testdata/cases/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// fileEntry is how the cases show an entry.
type fileEntry struct {
	APIURL    string `yaml:"api_url"`
	CADataSet bool   `yaml:"ca_data_set"`
	CAFile    string `yaml:"ca_file"`
	Creds     string `yaml:"credentials"`
	Expire    int    `yaml:"credsexpire_seconds"`
	Default   bool
	DefaultNS string
	Insecure  bool
	Limit     int
	Name      string
	Prefix    string
}

func TestRegistriesConfCases(t *testing.T) {
	var data struct {
		Cases []struct {
			ID     string
			Input  struct{ Original string }
			Expect struct {
				Registries []fileEntry
				Error      string
			}
		}
	}
	readCases(t, "c-registries-conf.yaml", &data)
	differs := byCase(confDifferences())
	for _, c := range data.Cases {
		var want any
		if d, ok := differs[c.ID]; ok {
			want = d.want
			delete(differs, c.ID)
		} else if c.Expect.Error == "" {
			for i, e := range c.Expect.Registries {
				c.Expect.Registries[i].Default = e.Default || e.Prefix == "" // theirs, too, serves as the default
			}
			want = append([]fileEntry{}, c.Expect.Registries...)
		}
		t.Run(c.ID, func(t *testing.T) {
			list, err := registry.ParseConf([]byte(c.Input.Original))
			var got any
			if err == nil {
				got = shown(list)
			} else if !strings.Contains(err.Error(), "line ") {
				t.Errorf("an error without a line: %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("error %v; -want +got:\n%s", err, diff)
			}
		})
	}
	if len(data.Cases) == 0 || len(differs) > 0 {
		t.Errorf("%d cases; differences without a case: %v", len(data.Cases), differs)
	}
}

func shown(list []registry.Endpoint) []fileEntry {
	out := []fileEntry{}
	for _, e := range list {
		f := fileEntry{
			APIURL: e.API.String(), CADataSet: e.CAData != "", CAFile: e.CAFile, Expire: int(e.CredsExpire.Seconds()),
			Default: e.Default, DefaultNS: e.DefaultNS, Insecure: e.Insecure, Limit: e.Limit, Name: e.Name, Prefix: e.Prefix,
		}
		if e.Credentials != nil {
			f.Creds = e.Credentials.String()
		}
		out = append(out, f)
	}
	return out
}

func byCase(list []difference) map[string]difference {
	out := map[string]difference{}
	for _, d := range list {
		out[d.Case] = d
	}
	return out
}

// credential is how the cases show a reference.
type credential struct {
	Type, Namespace, Name, Field, Registry string
}

func TestCredentialReferenceCases(t *testing.T) {
	var data struct {
		Cases []struct {
			ID     string
			Input  struct{ Value string }
			Expect struct {
				Credential credential `yaml:",inline"`
				Error      string
			}
		}
	}
	readCases(t, "b2-credential-refs.yaml", &data)
	differs := byCase(credentialDifferences())
	for _, c := range data.Cases {
		x := c.Expect
		var want *credential
		if d, ok := differs[c.ID]; ok {
			want, _ = d.want.(*credential)
			delete(differs, c.ID)
		} else if x.Error == "" {
			want = &x.Credential
		}
		t.Run(c.ID, func(t *testing.T) {
			host, ref, err := config.ParseRegistryCredential(c.Input.Value)
			var got *credential
			if err == nil {
				got = &credential{string(ref.Kind), ref.Namespace, ref.Name, ref.Field, host}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("error %v; -want +got:\n%s", err, diff)
			}
		})
	}
	if len(data.Cases) == 0 || len(differs) > 0 {
		t.Errorf("%d cases; differences without a case: %v", len(data.Cases), differs)
	}
}

func TestDifferencesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range slices.Concat(confDifferences(), credentialDifferences(), dateDifferences()) {
		row := fmt.Sprintf("| %s | %s | %s |", d.Theirs, d.Ours, d.Reason)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/registries.md lacks the row of %s:\n%s", d.Case, row)
		}
	}
}

func TestRegistriesConfErrors(t *testing.T) {
	entry := func(lines string) string { return "registries:\n- name: A\n" + lines }
	for _, c := range []struct{ name, conf, want string }{
		{"unknown key", entry("  api_url: https://a.example\n  prefx: a.example\n"), `line 4: unknown key "prefx": did you mean "prefix"?`},
		{"top level", "registry:\n- name: A\n", `line 1: unknown key "registry": did you mean "registries"?`},
		{"no list", "registries: A\n", `line 1: "registries" must be a list`},
		{"plain http", entry("  api_url: http://a.example\n"), `line 3: registry "A": api_url: plain http needs insecure: true`},
		{"user in URL", entry("  api_url: https://user:Canary@a.example\n"), "line 3: registry \"A\": api_url: must hold no user name or password: use credentials"},
		{"path in URL", entry("  api_url: https://a.example/v2\n"), "line 3: registry \"A\": api_url: must end after the host: the registry's API is found at /v2/"},
		{"scheme in prefix", entry("  api_url: https://a.example\n  prefix: https://a.example\n"), `line 4: registry "A": prefix: must start with the host, without https://`},
		{"sort mode", entry("  api_url: https://a.example\n  tagsortmode: latest-first\n"), "line 4: registry \"A\": tagsortmode: the order of a tag list says nothing about age (ACR's is alphabetical), so it is not used: remove the line; newest-build reads build dates"},
		{"expiry", entry("  api_url: https://a.example\n  credsexpire: 1d\n"), "line 4: registry \"A\": credsexpire: write a duration with its unit, 30m or 5h"},
		{"no certificate", entry("  api_url: https://a.example\n  ca_data: nothing\n"), "line 4: registry \"A\": ca_data: holds no PEM certificate"},
		{"password as credentials", entry("  api_url: https://a.example\n  credentials: user:Canary\n"), "line 4: registry \"A\": credentials: unknown credential source: write secret:<namespace>/<name>#<field>, pullsecret:<namespace>/<name>, env:<VARIABLE> or ext:</path>"},
		{"same prefix", "registries:\n- name: A\n  api_url: https://a.example\n  prefix: a.example\n- name: B\n  api_url: https://b.example\n  prefix: A.example/\n",
			`line 5: registry "B": prefix "a.example" is that of registry "A" already`},
		{"all at once", "registries:\n- name: A\n- api_url: https://b.example\n  limit: -1\n",
			"line 2: registry \"A\": api_url: is missing: write https://<host>\nline 3: registry \"\": name: is missing\nline 4: registry \"\": limit: must be positive (requests per second); leave it out for the default"},
		{"two documents", "registries: []\n---\nregistries: []\n", "line 2: a second document: write one"},
		{"wrong type", entry("  api_url: https://a.example\n  insecure: maybe\n"), "line 4: cannot unmarshal !!str `maybe` into bool"},
		{"not YAML", "registries: [", "line 1: did not find expected node content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := registry.ParseConf([]byte(c.conf))
			if err == nil || err.Error() != c.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "Canary") {
				t.Error("the error shows a password")
			}
		})
	}
}

func FuzzParseConf(f *testing.F) {
	for _, s := range []string{
		"", "registries:\n", "registries:\n- name: A\n  api_url: https://a.example\n  prefix: a.example/team\n  limit: 5\n",
		"registries:\n- name: A\n  api_url: http://127.0.0.1:5000\n  insecure: yes\n  defaultns: library\n  credentials: env:X\n",
		"registries:\n- &a {name: A}\n- *a\n", "registries:\n- <<: {name: A}\n", "? [a]\n: b\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := registry.ParseConf(data)
		if err != nil {
			return
		}
		for _, e := range list {
			if e.Name == "" || e.API == nil || e.API.Host == "" || e.API.User != nil || e.API.Path != "" {
				t.Errorf("accepted %+v", e)
			}
			if e.API.Scheme != "https" && !e.Insecure {
				t.Errorf("plain http without insecure: %+v", e)
			}
			if e.Prefix == "" && !e.Default {
				t.Errorf("serves nothing: %+v", e)
			}
		}
	})
}
