package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v2/util/askpass"
)

// What Argo CD lends through its real askpass server, and what it can't lend so that it lasts.
func TestLent(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "ask") // a socket's path has 108 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	lender := askpass.NewServer(socket)
	closer, err := lender.Start(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closer.Close() })
	nonce := func(username, password string) map[string]string {
		return map[string]string{askpass.ASKPASS_NONCE_ENV: lender.Add(username, password)}
	}
	gone := nonce("robot", "Canary")
	lender.Remove(gone[askpass.ASKPASS_NONCE_ENV])
	for name, c := range map[string]struct {
		env     map[string]string
		problem error
	}{
		"user and password":  {nonce("robot", "Canary"), nil},
		"token":              {nonce("x-access-token", "ghp_Canary"), nil},
		"GitHub App's token": {nonce("x-access-token", "ghs_Canary"), errLentShort},
		"empty":              {nonce("robot", ""), errLentNothing},
		"SSH key":            {map[string]string{"GIT_SSH_COMMAND": "ssh -i key"}, errLentSSH},
		"TLS certificate":    {map[string]string{"GIT_SSL_CERT": "cert"}, errLentSSH},
		"nothing":            {nil, errLentNothing},
		"after the render":   {gone, errAskPass},
	} {
		username, password, problem := (&service{askPass: socket}).lent(t.Context(), c.env)
		if !errors.Is(problem, c.problem) || (problem == nil) != (username != "" && password != "") {
			t.Errorf("%s: %q %q, %v; want %v", name, username, password, problem, c.problem)
		}
	}
	if _, _, problem := (&service{askPass: socket + "-absent"}).lent(t.Context(), nonce("a", "b")); !errors.Is(problem, errAskPass) {
		t.Errorf("no socket: %v", problem)
	}
}
