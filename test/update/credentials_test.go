package update

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback"
)

// A Secret with a GitHub App's key, as Argo CD's repository Secrets hold it, and a server whose CA is given.
func TestGitHubAppAndCA(t *testing.T) {
	const token = "ghs_Canary"
	w := newWorld(t)
	w.reg.Push(echo, "v2.0", acr.Image{})
	server := gitserver.Start(t, gitserver.Options{Username: "x-access-token", Password: token, TLS: true})
	server.Create("demo", chart())
	w.git.Create("demo", chart()) // for the hint
	var asked atomic.Int32
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/app/installations/42/access_tokens" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			http.NotFound(rw, r)
			return
		}
		rw.WriteHeader(http.StatusCreated)
		_, _ = rw.Write([]byte(`{"token":"` + token + `","expires_at":"2099-01-01T00:00:00Z"}`))
	}))
	api.Config.ErrorLog = log.New(io.Discard, "", 0) // a client doesn't trust it at first
	api.StartTLS()
	defer api.Close()
	secret, certificates := filepath.Join(w.secrets, "argocd", "git-app"), t.TempDir()
	if err := os.MkdirAll(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(secret, "githubAppPrivateKey"), string(rsaKey(t)))
	write(t, filepath.Join(secret, "githubAppInstallationID"), "42")
	write(t, filepath.Join(secret, "githubAppEnterpriseBaseUrl"), api.URL)
	settings, err := config.Parse("tagpin.yaml", []byte("bindings:\n- {credential: secret:argocd/git-app, kind: git, url: \""+server.URL("demo")+"\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(id string, state image.State, reason string) {
		t.Helper()
		write(t, filepath.Join(secret, "githubAppID"), id)
		u := w.updaterOf(ttl, writeback.Options{Settings: settings, CADir: certificates})
		hint := w.hint("demo", "gitops-demo", "helm", "write-back-method", "git:secret:argocd/git-app")
		hint.App.RepoURL, hint.App.Revision = server.URL("demo"), server.Tip("demo", "main")
		u.check(t, hint)
		wantState(t, u.status(t, "gitops-demo"), state, reason)
	}
	check("7", image.Blocked, "give the server's CA")
	write(t, filepath.Join(certificates, "127.0.0.1"), string(server.CA)+certificate(api))
	check("Canary", image.Blocked, "secret:argocd/git-app: the field githubAppID is no number")
	check("7", image.Updated, "")
	if n := asked.Load(); n != 1 {
		t.Errorf("%d tokens were asked for, want one for the whole check", n)
	}
	if got := server.File("demo", "main", pinFile); got != pins("v2.0") {
		t.Errorf("the pin is %q", got)
	}
}

func rsaKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func certificate(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}
