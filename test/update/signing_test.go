package update

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback"
	"github.com/tagpin/tagpin/writeback/git"
)

// Author, template, sign-off and an SSH signature, from the operator's options to the commit on the server.
func TestAuthorAndSignature(t *testing.T) {
	w := newWorld(t)
	w.pinned("demo")
	u := w.updater(ttl)
	u.check(t, w.hint("demo", "gitops-demo", "helm", "git-branch", ":tagpin/default"))
	if got := w.line("demo", "log", "-1", "--format=%an <%ae> %cn <%ce>", "tagpin/default"); got != "tagpin <noreply@tagpin.local> tagpin <noreply@tagpin.local>" {
		t.Errorf("the default author is %s", got)
	}

	dir := t.TempDir()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", filepath.Join(dir, "key")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	key, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	allowed := filepath.Join(dir, "allowed")
	if err := os.WriteFile(allowed, append([]byte("robot@example.com "), public...), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := git.OpenSigner(t.Context(), git.SignSSH, key)
	if err != nil {
		t.Fatal(err)
	}
	defer signer.Close()
	template, err := git.ParseMessage("ci: {{ .AppName }}{{ range .AppChanges }} {{ .NewTag }}{{ end }}")
	if err != nil {
		t.Fatal(err)
	}
	u = w.updaterWith("", writeback.Options{
		Author: git.Person{Name: "Robot", Email: "robot@example.com"}, Template: template, SignOff: true, Sign: signer,
	})
	u.check(t, w.hint("demo", "gitops-demo", "helm"))
	wantState(t, u.status(t, "gitops-demo"), image.Updated, "")
	if got := w.line("demo", "log", "-1", "--format=%an <%ae> %s", "main"); got != "Robot <robot@example.com> ci: gitops-demo v2.0" {
		t.Errorf("the commit is %s", got)
	}
	if body := w.line("demo", "log", "-1", "--format=%B", "main"); !strings.Contains(body, "Signed-off-by: Robot <robot@example.com>") {
		t.Errorf("no sign-off: %s", body)
	}
	if out := w.git.Git("demo", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "-v", "main"); !strings.Contains(out, "Good") {
		t.Errorf("the signature: %s", out)
	}
}
