package git_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

// remoteText is what servers say in these tests: nobody may see it.
const remoteText = "internal-canary-of-the-server"

// noCanary fails when a text holds a secret or a server's words.
func noCanary(t testing.TB, where, text string) {
	t.Helper()
	for _, canary := range []string{user, password, remoteText, "PRIVATE KEY", "secret-policy"} {
		if strings.Contains(text, canary) {
			t.Errorf("%s holds %q: %s", where, canary, text)
		}
	}
}

func wantError(t testing.TB, err error, kind git.Kind, words string) {
	t.Helper()
	if git.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		t.Errorf("error %q (%s), want %s with %q", err, git.KindOf(err), kind, words)
	}
	if err != nil {
		noCanary(t, "the error", err.Error())
	}
}

func TestServersThatFail(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	stolen := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen++ }))
	defer elsewhere.Close()
	tests := map[string]struct {
		fail  gitserver.Failure
		kind  git.Kind
		words string
	}{
		"401":      {gitserver.Status(401, remoteText), git.Authentication, "check user and password"},
		"403":      {gitserver.Status(403, remoteText), git.Authentication, "write access"},
		"404":      {gitserver.Status(404, remoteText), git.NotFound, "no such repository"},
		"418":      {gitserver.Status(418, remoteText), git.Garbage, "no Git address"},
		"429":      {gitserver.Status(429, remoteText), git.Server, "slow down"},
		"503":      {gitserver.Status(503, remoteText), git.Server, "5xx"},
		"redirect": {gitserver.Redirect(elsewhere.URL), git.Redirected, "final address"},
		"garbage":  {gitserver.Garbage(), git.Garbage, "not that of a Git server"},
		"a page":   {gitserver.Status(200, "<html>"+remoteText), git.Garbage, "not that of a Git server"},
		"reset":    {gitserver.Reset(), git.Network, "could not be reached"},
		"slow":     {gitserver.Slow(time.Minute), git.Timeout, "time"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{Timeout: time.Second})
			patient := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
			base := tipOf(t, patient, "")
			to := commit(t, patient, base, "m", map[string]string{"f": name})
			s.Fail(tt.fail)
			defer s.Fail(nil)
			if name != "slow" {
				r = patient
			}
			_, err := r.Tip(t.Context(), "")
			wantError(t, err, tt.kind, tt.words)
			_, err = r.Read(t.Context(), strings.Repeat("1", 40), []string{"f"})
			wantError(t, err, tt.kind, tt.words)
			if name != "slow" {
				_, err = r.Push(t.Context(), "main", base, to)
				wantError(t, err, tt.kind, tt.words)
			}
			// Nothing is broken afterwards.
			s.Fail(nil)
			push(t, patient, move{"main", base, to}, git.Updated)
		})
	}
	if stolen > 0 {
		t.Error("a redirect was followed")
	}
}

func TestWrongCredentials(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password, SSH: true, TLS: true, ReadOnly: true})
	s.Create("demo", map[string]string{"f": "1"})
	other := gitserver.Start(t, gitserver.Options{SSH: true})
	tests := map[string]struct {
		remote git.Remote
		kind   git.Kind
		words  string
	}{
		"no password":    {git.Remote{URL: s.URL("demo"), CA: s.CA}, git.Authentication, "refused the credentials"},
		"wrong password": {git.Remote{URL: s.URL("demo"), CA: s.CA, Credentials: git.Credentials{Username: user, Password: "x"}}, git.Authentication, "refused the credentials"},
		"no CA":          {git.Remote{URL: s.URL("demo"), Credentials: git.Credentials{Username: user, Password: password}}, git.TLS, "CA"},
		"not there":      {overHTTP(s, "nothing"), git.NotFound, "no such repository"},
		"ssh not there":  {overSSH(s, "nothing"), git.NotFound, "no such repository"},
		"ssh host key":   {git.Remote{URL: s.SSHURL("demo"), Credentials: git.Credentials{SSHPrivateKey: s.SSHKey}, KnownHosts: other.KnownHosts}, git.HostKey, "known_hosts"},
		"ssh changed key": {git.Remote{
			URL: s.SSHURL("demo"), Credentials: git.Credentials{SSHPrivateKey: s.SSHKey},
			KnownHosts: bytes.Replace(s.KnownHosts, bytes.Fields(s.KnownHosts)[2], bytes.Fields(other.KnownHosts)[2], 1),
		}, git.HostKey, "known"},
		"ssh key":        {git.Remote{URL: s.SSHURL("demo"), Credentials: git.Credentials{SSHPrivateKey: other.SSHKey}, KnownHosts: s.KnownHosts}, git.Authentication, "deploy key"},
		"ssh no key":     {git.Remote{URL: s.SSHURL("demo"), Credentials: git.Credentials{SSHPrivateKey: []byte("nonsense")}, KnownHosts: s.KnownHosts}, git.Authentication, "SSH key"},
		"no such host":   {git.Remote{URL: "https://no-such-host.invalid/x"}, git.Network, "could not be reached"},
		"nobody listens": {git.Remote{URL: "https://127.0.0.1:1/x"}, git.Network, "could not be reached"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if name == "ssh host key" {
				tt.words = "host key"
			}
			_, err := open(t, t.TempDir(), tt.remote, git.Options{Timeout: 20 * time.Second}).Tip(t.Context(), "")
			wantError(t, err, tt.kind, tt.words)
		})
	}
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	base := tipOf(t, r, "")
	_, err := r.Push(t.Context(), "main", base, commit(t, r, base, "m", map[string]string{"f": "2"}))
	wantError(t, err, git.Authentication, "write access")
}

func TestBranchesThatAreNotThere(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	s.Create("empty", nil)
	s.Git("demo", "branch", "nested/refs/heads/release")
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	_, err := r.Tip(t.Context(), "release")
	wantError(t, err, git.NoBranch, `no branch "release"`)
	_, err = open(t, t.TempDir(), overHTTP(s, "empty"), git.Options{}).Tip(t.Context(), "")
	wantError(t, err, git.NoBranch, "")
	_, err = r.Read(t.Context(), strings.Repeat("a", 40), []string{"f"})
	wantError(t, err, git.Gone, "no longer")
	_, err = r.Read(t.Context(), "main", []string{"f"})
	wantError(t, err, git.BadCommit, "full name")
	for _, name := range []string{"-x", "refs/tags/x", "a..b", "a b", "x.lock", "/a", "a//b", "a~1", "@{-1}", "@", strings.Repeat("x", 256), "a\x01", "--upload-pack=x"} {
		_, err = r.Tip(t.Context(), name)
		wantError(t, err, git.BadBranch, "no branch name")
	}
}

func TestSHA256IsRefused(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	if err := os.RemoveAll(s.Dir("demo")); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	program(t, nil, "git", "init", "-q", "--object-format=sha256", "-b", "main", work)
	program(t, nil, "git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x")
	program(t, nil, "git", "clone", "-q", "--bare", work, s.Dir("demo"))
	_, err := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{}).Tip(t.Context(), "")
	wantError(t, err, git.ObjectFormat, "SHA-256")
}

func TestAddressesThatAreRefused(t *testing.T) {
	for address, words := range map[string]string{
		"https://" + user + ":" + password + "@example.com/x": "holds a password",
		"http://example.com/x":                                "plain http",
		"file:///etc":                                         "https or ssh",
		"ext::sh -c id":                                       "control character or a space",
		"ext::id":                                             "",
		"git://example.com/x":                                 "https or ssh",
		"/etc":                                                "https or ssh",
		"https://example.com/x?token=" + password: "query",
		"ssh://-oProxyCommand=id/x":               "dash",
		"git@host:-x":                             "dash",
		"https:///x":                              "host",
		"ssh://git@example.com/x":                 "sshPrivateKey",
	} {
		_, err := git.Open(t.TempDir(), git.Remote{URL: address}, git.Options{})
		wantError(t, err, git.BadAddress, words)
	}
	_, err := git.Open(t.TempDir(), git.Remote{URL: "git@example.com:x", Credentials: git.Credentials{SSHPrivateKey: []byte("k")}}, git.Options{})
	wantError(t, err, git.BadAddress, "argocd-ssh-known-hosts-cm")
	_, err = git.Open(t.TempDir(), git.Remote{URL: "https://example.com", Credentials: git.Credentials{GitHubApp: &git.App{PrivateKey: []byte(password)}}}, git.Options{})
	wantError(t, err, git.Authentication, "PEM")
}

func TestPushesThatAreRefused(t *testing.T) {
	transports(t, func(t *testing.T, s *gitserver.Server, remote func(string) git.Remote) {
		s.Create("demo", map[string]string{"f": "1"})
		r := open(t, t.TempDir(), remote("demo"), git.Options{})
		base := tipOf(t, r, "")
		to := commit(t, r, base, "m", map[string]string{"f": "2"})
		s.Protect("demo", "main")
		result := push(t, r, move{"main", base, to}, git.Refused)
		if !strings.Contains(result.Reason, "protected") {
			t.Error(result)
		}
		noCanary(t, "the reason", result.Reason)
		s.Hook("demo", "update", "exit 0")
		s.Hook("demo", "pre-receive", "echo "+remoteText+"; exit 1")
		result = push(t, r, move{"main", base, to}, git.Refused)
		if !strings.Contains(result.Reason, "hook") {
			t.Error(result)
		}
		noCanary(t, "the reason", result.Reason)
		if s.Tip("demo", "main") != base {
			t.Error("it moved")
		}
		s.Hook("demo", "pre-receive", "exit 0")
		if _, err := r.Push(t.Context(), "main", to, to); git.KindOf(err) != git.BadCommit {
			t.Error(err)
		}
		if _, err := r.Push(t.Context(), "main", strings.Repeat("1", 40), to); git.KindOf(err) != git.BadCommit {
			t.Error(err)
		}
		push(t, r, move{"main", base, to}, git.Updated)

		// Someone takes commits off the branch: what was built on them does not bring them back.
		late := commit(t, r, to, "late", map[string]string{"f": "3"})
		s.Git("demo", "update-ref", "refs/heads/main", base)
		push(t, r, move{"main", to, late}, git.Stale)
		s.Git("demo", "symbolic-ref", "HEAD", "refs/heads/elsewhere")
		s.Git("demo", "update-ref", "-d", "refs/heads/main")
		push(t, r, move{"main", to, late}, git.Stale)
	})
}

func TestReceivedBytesAreBounded(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password, NoFilter: true})
	noise := make([]byte, 4_000_000)
	rand.New(rand.NewSource(1)).Read(noise)
	s.Create("demo", map[string]string{"a": string(noise)})
	cache := t.TempDir()
	r := open(t, cache, overHTTP(s, "demo"), git.Options{MaxBytes: 10_000})
	_, err := r.Read(t.Context(), s.Tip("demo", "main"), []string{"a"})
	wantError(t, err, git.TooBig, "limit")
	if left := cacheFiles(t, cache, func(path string) bool { return strings.HasSuffix(path, ".pack") }); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCancel(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	cache := t.TempDir()
	r := open(t, cache, overHTTP(s, "demo"), git.Options{})
	s.Fail(gitserver.Slow(time.Minute))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := r.Tip(ctx, "")
	if git.KindOf(err) != git.Timeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for deadline := time.Now().Add(time.Minute); len(processesWith(cache)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes of git go on: %q", processesWith(cache))
		}
	}
}

// processesWith are the names of those whose environment has a text.
func processesWith(text string) (names []string) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		if environ, _ := os.ReadFile(process + "/environ"); bytes.Contains(environ, []byte(text)) {
			name, _ := os.ReadFile(process + "/comm")
			names = append(names, string(name))
		}
	}
	return names
}

func TestGitHubApp(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: "x-access-token", Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	key := testKey(t)
	status := http.StatusCreated
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v3/app/installations/42/access_tokens" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"token":"` + password + `","expires_at":"2099-01-01T00:00:00Z","message":"` + remoteText + `"}`))
	}))
	defer api.Close()
	remote := git.Remote{URL: s.URL("demo"), Credentials: git.Credentials{GitHubApp: &git.App{ID: 7, InstallationID: 42, PrivateKey: key, BaseURL: api.URL + "/api/v3"}}}
	if got := tipOf(t, open(t, t.TempDir(), remote, git.Options{}), ""); got != s.Tip("demo", "main") {
		t.Error(got)
	}
	status = http.StatusUnauthorized
	_, err := open(t, t.TempDir(), remote, git.Options{}).Tip(t.Context(), "")
	wantError(t, err, git.Authentication, "installation ID")
	status = http.StatusBadGateway
	_, err = open(t, t.TempDir(), remote, git.Options{}).Tip(t.Context(), "")
	wantError(t, err, git.Server, "502")
}

func writeFile(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
