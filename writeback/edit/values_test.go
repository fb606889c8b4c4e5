package edit

import (
	"errors"
	"strings"
	"testing"
)

// What a chart sees, not what is written: sigs.k8s.io/yaml reads YAML 1.1 for Helm.
func TestGetValue(t *testing.T) {
	const src = `image:
  tag: 1.20
  old: 0123
  bool: yes
  exp: 1e3
  quoted: "1.20"
  single: '0123'
  int: 20240101
  text: !!str 1.20
  none:
  tilde: ~
  block: |
    v1
  colon: 1:30
base: &base
  tag: v1
  nested: {tag: v2}
a: &a
  <<: *base
b:
  <<: [*a, {tag: v3, other: v4}]
alias: *base
list: [x, {tag: v5}, [q, z]]
c.tag: v6
`
	for path, want := range map[string]string{
		"image.tag": "1.2", "image.old": "83", "image.bool": "true", "image.exp": "1000", "image.quoted": "1.20", "image.single": "0123",
		"image.int": "20240101", "image.text": "1.20", "image.none": "", "image.tilde": "", "image.block": "v1\n", "image.colon": "1:30",
		"a.tag": "v1", "b.tag": "v1", "b.nested.tag": "v2", "b.other": "v4", "alias.tag": "v1", "list[1].tag": "v5", "list[2][0]": "q",
		"c.tag": "v6", "d.tag": "", "image.tags": "",
	} {
		got, ok, err := GetValue([]byte(src), path)
		if err != nil || got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, %v; want %q", path, got, ok, err, want)
		}
	}
	for _, path := range []string{"image", "list", "list[3]", "image.tag.x", "list.tag", "", "a..b", "a[", "a[x]", "a]", ".a", "a.", "[0]"} {
		if got, ok, err := GetValue([]byte(src), path); err == nil {
			t.Errorf("%q: %q, %v", path, got, ok)
		}
	}
}

// The aliases of this file stand for a billion values.
func TestAliasesAreBounded(t *testing.T) {
	src := "a0: &a0 [x]\n"
	for i := range 30 {
		n := string(rune('a' + i%26))
		prev := "a0"
		if i > 0 {
			prev = "k" + string(rune('a'+(i-1)%26)) + strings.Repeat("x", (i-1)/26)
		}
		key := "k" + n + strings.Repeat("x", i/26)
		src += key + ": &" + key + " [*" + prev + ", *" + prev + "]\n"
	}
	_, err := SetValue([]byte(src+"tag: v1\n"), "tag", "v2")
	if refusal := new(Refusal); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "aliases") {
		t.Error(err)
	}
	for _, src := range []string{"a: &a\n  <<: [*a, *a]\n  b: &b\n    <<: [*a, *b, *b]\ntag: v1\n", "a: &a {b: *a}\ntag: v1\n"} {
		if got, err := SetValue([]byte(src), "a.b.c.tag", "v2"); err == nil {
			t.Errorf("wrote %q", got)
		}
	}
}

func TestSetValueRefusesTheValue(t *testing.T) {
	for _, v := range []string{"", " v1", "v1\n", "v\x001", "a\u2028b", "a\tb", "\xff", "\uFEFFv1"} {
		if got, err := SetValue([]byte("tag: v1\n"), "tag", v); err == nil {
			t.Errorf("%q: wrote %q", v, got)
		}
	}
}

// Values may be secrets: a refusal names keys, never values.
func TestRefusalsNameNoValues(t *testing.T) {
	const canary = "hunter2"
	for src, path := range map[string]string{
		"password: &p hunter2\ncopy: *p\n":            "password",
		"password: hunter2\npassword: hunter2\n":      "password",
		"password: hunter2\n":                         "password.tag",
		"password: !!binary hunter2\n":                "password",
		"password: hunter2\n  hunter2\n":              "password",
		"password: |\n  hunter2\n  hunter2\n":         "password",
		"- hunter2\n":                                 "password",
		"password: [hunter2]\n":                       "password",
		"password: \"hunter2\n":                       "password",
		"password: hunter2: hunter2\n":                "password",
		"password: 'hunter2'hunter2\n":                "password",
		"password: {hunter2\n":                        "password",
		"password: !hunter2 x\n\thunter2: @hunter2\n": "password",
	} {
		got, err := SetValue([]byte(src), path, "v2")
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %q, %v", src, got, err)
		}
	}
}

func TestUTF16IsRefused(t *testing.T) {
	if got, err := SetValue([]byte("\xff\xfet\x00:\x00 \x00v\x00"), "t", "v2"); err == nil {
		t.Errorf("wrote %q", got)
	}
}
