package update

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/writeback"
)

// With first-pin: existing a person makes the first pin, and tagpin the others.
func TestFirstPinExisting(t *testing.T) {
	w := newWorld(t)
	files := chart()
	files["pinned/.argocd-source-pinned.yaml"] = pins("v1.0")
	w.git.Create("demo", files)
	w.reg.Push(echo, "v2.0", acr.Image{})
	u := w.updaterOf(ttl, writeback.Options{Settings: w.settings("")}, func(o *reconcile.Options) { o.ExistingOnly = true })
	u.check(t, w.hint("demo", "gitops-demo", "helm"), w.hint("demo", "pinned", "pinned"),
		w.hint("demo", "values", "helm", "write-back-target", "helmvalues"))
	wantState(t, u.status(t, "gitops-demo"), image.Refused, "the first pin is a person's")
	wantState(t, u.status(t, "pinned"), image.Updated, "")
	wantState(t, u.status(t, "values"), image.Updated, "") // the chart's own value is one
	if n := w.line("demo", "rev-list", "--count", "main"); n != "3" {
		t.Errorf("%s commits", n)
	}
}

// verifying answers as a test says, and remembers what it was shown.
type verifying struct {
	reason string
	err    error
	files  map[string][]byte
	asked  int
}

func (v *verifying) Verify(_ context.Context, _ reconcile.Hint, files map[string][]byte) (string, error) {
	v.asked++
	v.files = files
	return v.reason, v.err
}

// Each write is verified, with the files of the branch that it goes to; what needs no write is not.
func TestVerifiedWrites(t *testing.T) {
	w := newWorld(t)
	files := chart()
	files["helm/.argocd-source.yaml"] = "plugin: {env: []}\n"
	w.git.Create("demo", files)
	w.reg.Push(echo, "v1.0", acr.Image{})
	v := &verifying{reason: "the Application has no such source"}
	u := w.updaterOf(ttl, writeback.Options{Settings: w.settings("")}, func(o *reconcile.Options) { o.Verifier = v })
	hint := func() reconcile.Hint { return w.hint("demo", "gitops-demo", "helm") }
	u.check(t, hint())
	wantState(t, u.status(t, "gitops-demo"), image.Refused, "no such source")
	v.reason, v.err = "", errors.New("the cluster is away")
	u.check(t, hint())
	wantState(t, u.status(t, "gitops-demo"), image.Blocked, "the cluster is away")
	if n := w.line("demo", "rev-list", "--count", "main"); n != "1" {
		t.Errorf("%s commits without leave", n)
	}
	v.err = nil
	u.check(t, hint())
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
	if len(v.files) != 1 || string(v.files["helm/.argocd-source.yaml"]) != files["helm/.argocd-source.yaml"] {
		t.Errorf("it was shown %q", v.files)
	}
	asked := v.asked
	u.check(t, hint())
	if v.asked != asked {
		t.Error("a check without a write was verified")
	}
	w.reg.Push(echo, "v2.0", acr.Image{})
	u.check(t, hint())
	if got := string(v.files[pinFile]); !strings.Contains(got, "v1.0") {
		t.Errorf("it was shown %q, want the pin file", v.files)
	}
}
