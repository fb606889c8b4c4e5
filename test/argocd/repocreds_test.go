package argocd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v2/util/askpass"
	"github.com/argoproj/argo-cd/v2/util/git"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

// startLender runs argo-cd's askpass server, where the sidecar looks for it.
func startLender(t *testing.T) git.CredsStore {
	t.Helper()
	socket := filepath.Join(shortDir(t), "askpass.sock")
	lender := askpass.NewServer(socket)
	closer, err := lender.Start(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closer.Close() })
	t.Setenv("ARGOCD_ASK_PASS_SOCK", socket)
	return lender
}

// Argo CD's own credentials reach the update loop through its real askpass socket, during a render of the plugin name that asks
// for them, and only of that one.
func TestArgoCDsOwnCredentials(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	repo := gitRepo{gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}), "demo"}
	repo.server.Create("demo", exampleFiles(t))

	lender := startLender(t)
	side := startUpdatingSidecarWith(t, reg, repo.server, "repocreds")
	waitForSocket(t, filepath.Join(side.sockets, "tagpin-repocreds.sock"), side.log)
	server := StartWith(t, side.sockets, lender)

	request := repo.request(repo.source("helm"))
	*request.Source.Plugin.Parameters[1].String_ = "git"
	if _, err := server.Generate(t.Context(), request); err == nil || !strings.Contains(err.Error(), "tagpin-repocreds") {
		t.Errorf("the plugin that gets no credentials: %v", err)
	}
	request.Source.Plugin.Name = "tagpin-repocreds"
	first := repo.server.Tip("demo", "main")
	got, err := server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.0")
	pinned := repo.waitForTip(t, first)
	reg.Push(echoRepo, "v2.0", acr.Image{})
	repo.waitForTip(t, pinned) // with what was lent before
	got, err = server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v2.0")
}

// Without a binding for them, Argo CD's credentials are not used.
func TestArgoCDsOwnCredentialsUnbound(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	repo := gitRepo{gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}), "demo"}
	repo.server.Create("demo", exampleFiles(t))
	lender := startLender(t)
	side := startUpdatingSidecar(t, reg, repo.server)
	server := StartWith(t, side.sockets, lender)
	request := repo.request(repo.source("helm"))
	request.Source.Plugin.Name = "tagpin-repocreds"
	*request.Source.Plugin.Parameters[1].String_ = "git"
	got, err := server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.0")
	side.waitForLog(t, "credential: repocreds", 1) // the binding to add
	if n := strings.TrimSpace(repo.server.Git("demo", "rev-list", "--count", "main")); n != "1" {
		t.Errorf("%s commits, want 1", n)
	}
}
