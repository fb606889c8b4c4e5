package git_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

func testKey(t testing.TB) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func program(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// signed makes a commit with a signer and pushes it.
func signed(t *testing.T, s *gitserver.Server, signer *git.Signer) string {
	t.Helper()
	s.Create("demo", map[string]string{"f": "1"})
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	c := commitOf("signed", map[string]string{"f": "2"})
	c.Sign = signer
	base := tipOf(t, r, "")
	result, err := r.Commit(t.Context(), base, c)
	if err != nil {
		t.Fatal(err)
	}
	push(t, r, move{"main", base, result.SHA}, git.Updated)
	return result.SHA
}

func TestSignSSH(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	dir := t.TempDir()
	program(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", filepath.Join(dir, "key"))
	key, _ := os.ReadFile(filepath.Join(dir, "key"))
	public, _ := os.ReadFile(filepath.Join(dir, "key.pub"))
	signer, err := git.OpenSigner(t.Context(), git.SignSSH, key)
	if err != nil {
		t.Fatal(err)
	}
	defer signer.Close()
	sha := signed(t, s, signer)
	allowed := writeFile(t, dir, "allowed", append([]byte(robot.Email+" "), public...))
	if out := s.Git("demo", "-c", "gpg.ssh.allowedSignersFile="+allowed, "verify-commit", "-v", sha); !strings.Contains(out, "Good") {
		t.Error(out)
	}
}

func TestSignOpenPGP(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed")
	}
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	home, err := os.MkdirTemp("", "gpg") // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"GNUPGHOME=" + home, "HOME=" + home}
	t.Cleanup(func() {
		program(t, env, "gpgconf", "--kill", "gpg-agent")
		os.RemoveAll(home)
	})
	program(t, env, "gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "tagpin <"+robot.Email+">", "ed25519", "sign", "never")
	signer, err := git.OpenSigner(t.Context(), git.SignOpenPGP, []byte(program(t, env, "gpg", "--batch", "--armor", "--export-secret-keys")))
	if err != nil {
		t.Fatal(err)
	}
	sha := signed(t, s, signer)
	cmd := exec.Command("git", "-C", s.Dir("demo"), "verify-commit", "-v", sha)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}, env...)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Good signature") {
		t.Errorf("%v %s", err, out)
	}
	if err := signer.Close(); err != nil {
		t.Error(err)
	}
}

func TestSignersThatAreRefused(t *testing.T) {
	for format, kind := range map[string]git.Kind{git.SignOpenPGP: git.BadCommit, "x509": git.BadCommit} {
		_, err := git.OpenSigner(t.Context(), format, []byte(password))
		if _, missing := exec.LookPath("gpg"); missing == nil || format != git.SignOpenPGP {
			wantError(t, err, kind, "")
		}
	}
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password})
	s.Create("demo", map[string]string{"f": "1"})
	signer, err := git.OpenSigner(t.Context(), git.SignSSH, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	defer signer.Close()
	r := open(t, t.TempDir(), overHTTP(s, "demo"), git.Options{})
	c := commitOf("signed", map[string]string{"f": "2"})
	c.Sign = signer
	_, err = r.Commit(t.Context(), tipOf(t, r, ""), c)
	wantError(t, err, git.BadCommit, "signing key")
}
