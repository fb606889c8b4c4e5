package edit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/image"
)

const golden = "../../test/testdata/edit"

// Each x.edit in values, kustomization and pins says what is done to x.yaml; x-expected holds the outcome, x.yaml or x.error.
// TAGPIN_UPDATE=1 writes it anew, for a person to look at.
func TestGolden(t *testing.T) {
	for _, group := range []string{"values", "kustomization", "pins"} {
		edits, err := filepath.Glob(filepath.Join(golden, group, "*.edit"))
		if err != nil || len(edits) == 0 {
			t.Fatal(edits, err)
		}
		for _, name := range edits {
			base := strings.TrimSuffix(filepath.Base(name), ".edit")
			t.Run(group+"/"+base, func(t *testing.T) { checkGolden(t, group, base) })
		}
	}
}

func checkGolden(t *testing.T, group, base string) {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(golden, group, base+".yaml"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(golden, group, base+".edit"))
	if err != nil {
		t.Fatal(err)
	}
	got, refusal := run(t, src, string(script))
	want, other := filepath.Join(golden, group+"-expected", base+".yaml"), filepath.Join(golden, group+"-expected", base+".error")
	if refusal != nil {
		got, want, other = []byte(refusal.Error()+"\n"), other, want
	}
	if os.Getenv("TAGPIN_UPDATE") != "" {
		os.Remove(other)
		if err := os.WriteFile(want, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expected, err := os.ReadFile(want)
	if err != nil {
		t.Fatalf("got %q, which was not expected: %v", got, err)
	}
	if string(got) != string(expected) {
		t.Errorf("got:\n%s\nwant:\n%s", got, expected)
	}
	if refusal == nil {
		if again, err := run(t, got, string(script)); err != nil || string(again) != string(got) {
			t.Errorf("a second time makes (%v):\n%s", err, again)
		}
	}
}

// run does what a script says: all set, helm and pin lines in one go, image lines one by one.
func run(t *testing.T, src []byte, script string) ([]byte, error) {
	t.Helper()
	var writes []Write
	var changes []HelmChange
	var pins []image.Pin
	for line := range strings.Lines(script) {
		f := strings.Fields(line)
		arg := map[string]string{}
		for _, a := range f[1:] {
			key, value, _ := strings.Cut(a, "=")
			arg[key] = value
		}
		switch f[0] {
		case "set":
			writes = append(writes, Write{f[1], f[2]})
		case "helm":
			img, err := image.ParseImage(arg["image"])
			if err != nil {
				t.Fatal(err)
			}
			changes = append(changes, HelmChange{Target: image.HelmTarget{Name: arg["name"], Tag: arg["tag"], Spec: arg["spec"]},
				Image: img, Pin: image.Pin{Tag: arg["pin"], Digest: arg["digest"]}})
		case "pin":
			pins = append(pins, image.Pin{Alias: arg["alias"], Image: arg["image"], Tag: arg["tag"], Digest: arg["digest"], Hold: arg["hold"] != ""})
		case "image":
			var err error
			if src, err = SetKustomizeImage(src, KustomizeChange{arg["name"], arg["newName"], arg["newTag"], arg["digest"]}); err != nil {
				return nil, err
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	switch {
	case writes != nil:
		return SetValues(src, writes)
	case changes != nil:
		return SetHelm(src, changes, nil)
	case pins != nil:
		return SetPins(src, pins)
	}
	return src, nil
}
