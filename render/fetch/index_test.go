package fetch

import "testing"

// What an index says is found as Helm finds it.
func TestChoose(t *testing.T) {
	versions := []string{"1.0.0", "1.2.0", "v1.3.0", "1.10.0", "2.0.0-rc.1", "1.2.0+build.5", "nightly", "2.0"}
	for _, c := range []struct {
		wanted string
		locked bool
		want   string
	}{
		{"^1.0.0", false, "1.10.0"}, {"~1.2", false, "1.2.0"}, {"1.x", false, "1.10.0"}, {"*", false, "2.0"}, {">=2.0.0-0 <2.0.0", false, "2.0.0-rc.1"},
		{"1.3.0", false, "v1.3.0"}, {"1.2.0+build.5", false, "1.2.0+build.5"}, {"nightly", false, "nightly"}, {"<1.0.0 || 1.2.x", false, "1.2.0"},
		{"1.2.0", true, "1.2.0"}, {"1.3.0", true, "v1.3.0"}, {"2.0.0", true, "2.0"},
		{"^3", false, ""}, {"^1.0.0", true, ""}, {"1.5.0", true, ""}, {"a b", false, ""}, {"", false, ""},
	} {
		if got, err := choose(versions, c.wanted, c.locked); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, locked %v: %q, %v; want %q", c.wanted, c.locked, got, err, c.want)
		}
	}
}

// Nothing that a server sends for an index ends the process, and what is found has an address.
func FuzzIndex(f *testing.F) {
	for _, s := range []string{
		"entries: {a: [{version: 1.0.0, urls: [a.tgz]}, null]}", `{"entries": {"a": [{"version": "1.0.0", "urls": ["a"]}]}}`,
		"entries: {a: [{version: 1.0, urls: []}]}", "entries: [a]", "entries: {a: null}", "- a", "a: &a [*a]", "", "{",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		i, err := parseIndex([]byte(s))
		if err != nil {
			return
		}
		for name := range i.Entries {
			if found, err := i.find(name, "*", false); err == nil && len(found.URLs) == 0 {
				t.Errorf("%q: no address", s)
			}
		}
	})
}
