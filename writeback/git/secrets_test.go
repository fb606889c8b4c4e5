package git_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/writeback/git"
)

// Not in the list of processes, not in the cache.
func TestSecretsAreNowhere(t *testing.T) {
	s := gitserver.Start(t, gitserver.Options{Username: user, Password: password, SSH: true})
	s.Create("demo", map[string]string{"f": "1"})
	cache := t.TempDir()
	secrets := []string{password, base64.StdEncoding.EncodeToString([]byte(user + ":" + password)), strings.Split(string(s.SSHKey), "\n")[1]}
	done := make(chan struct{})
	var seen sync.WaitGroup
	commands := 0
	seen.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, path := range processes {
				content, _ := os.ReadFile(path)
				if bytes.Contains(content, []byte("git")) {
					commands++
				}
				for _, secret := range secrets {
					if bytes.Contains(content, []byte(secret)) {
						t.Errorf("a secret in the arguments %q", content)
					}
				}
			}
		}
	})
	for i, remote := range []git.Remote{overHTTP(s, "demo"), overSSH(s, "demo")} {
		r := open(t, cache, remote, git.Options{})
		for j := range 3 {
			if err := update(t.Context(), r, "mine", fmt.Sprint(i, j)); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	seen.Wait()
	if commands == 0 {
		t.Error("no git process was seen")
	}
	for _, path := range cacheFiles(t, cache, func(string) bool { return true }) {
		content, _ := os.ReadFile(path)
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("a secret in %s", path)
			}
		}
		if strings.Contains(path, "/secret/") {
			t.Errorf("left behind: %s", path)
		}
	}
}
