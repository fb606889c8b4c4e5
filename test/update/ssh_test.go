package update

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback"
)

// The same over SSH, with a key from a Secret and the server's host key checked.
func TestOverSSH(t *testing.T) {
	w := newWorld(t)
	server := gitserver.Start(t, gitserver.Options{SSH: true})
	server.Create("demo", chart())
	w.git.Create("demo", chart()) // for the hint
	w.reg.Push(echo, "v2.0", acr.Image{})
	secret := filepath.Join(w.secrets, "argocd", "git-ssh")
	if err := os.MkdirAll(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(secret, "sshPrivateKey"), string(server.SSHKey))
	settings, err := config.Parse("tagpin.yaml", []byte("bindings:\n- credential: secret:argocd/git-ssh\n  kind: git\n  url: "+server.SSHURL("demo")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	unknown := filepath.Join(t.TempDir(), "known_hosts")
	write(t, unknown, "")
	for _, c := range []struct {
		knownHosts string
		state      image.State
		reason     string
	}{
		{filepath.Join(t.TempDir(), "absent"), image.Blocked, "mount Argo CD's argocd-ssh-known-hosts-cm there"},
		{unknown, image.Blocked, "no SSH host keys are known"},
		{server.KnownHostsFile, image.Updated, ""},
	} {
		u := w.updaterOf(ttl, writeback.Options{Settings: settings, KnownHosts: c.knownHosts})
		hint := w.hint("demo", "gitops-demo", "helm", "write-back-method", "git:secret:argocd/git-ssh")
		hint.App.RepoURL, hint.App.Revision = server.SSHURL("demo"), server.Tip("demo", "main")
		u.check(t, hint)
		wantState(t, u.status(t, "gitops-demo"), c.state, c.reason)
	}
	if got := server.File("demo", "main", pinFile); got != pins("v2.0") {
		t.Errorf("the pin is %q", got)
	}
}
