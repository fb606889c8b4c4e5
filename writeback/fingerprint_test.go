package writeback

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tagpin/tagpin/image"
)

// A fingerprint changes with the file that holds the pins, and with no other.
func TestFingerprint(t *testing.T) {
	for target, file := range map[string]string{
		"": "app/.argocd-source-shop.yaml", "helmvalues": "app/values.yaml", "kustomization": "app/kustomization.yml", "kustomization:/base": "base/Kustomization",
	} {
		t.Run(target, func(t *testing.T) {
			dir := t.TempDir()
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			u := image.Update{App: image.Application{Name: "shop", Path: "app"}}
			u.Options.WriteBack.Target = target
			seen := map[string]bool{}
			for i, change := range []struct{ file, text string }{{file, ""}, {file, "a: 1\n"}, {file, "a: 2\n"}, {"app/other.yaml", "a: 1\n"}, {file, "a: 1\n"}} {
				full := filepath.Join(dir, change.file)
				if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
					t.Fatal(err)
				}
				before := Fingerprint(root, u)
				if err := os.WriteFile(full, []byte(change.text), 0o600); err != nil {
					t.Fatal(err)
				}
				got := Fingerprint(root, u)
				if old := i >= 3; got == "" || seen[got] != old || (change.file != file) != (got == before) {
					t.Errorf("change %d: %q, seen before: %t", i, got, seen[got])
				}
				seen[got] = true
			}
			u.Options.WriteBack.Repository = "https://git.example.com/pins.git"
			if got := Fingerprint(root, u); got != "" {
				t.Errorf("%q of a file in another repository", got)
			}
		})
	}
}
