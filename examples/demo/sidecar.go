package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// interval is short, so that the demo needn't wait minutes; the default is one minute.
const interval = time.Second

// sidecar is `tagpin serve`.
type sidecar struct {
	tagpin, conf, socket, status string
	cmd                          *exec.Cmd
}

// startSidecar writes the operator's files, which name the registry, and the Git server that a credential is for.
func startSidecar(ctx context.Context, tagpin, dir string, reg memoryRegistry, remote gitRemote) (*sidecar, error) {
	s := &sidecar{tagpin: tagpin, conf: filepath.Join(dir, "registries.conf"), socket: filepath.Join(dir, "plugins", "tagpin.sock"),
		status: filepath.Join(dir, "status.sock")}
	for path, text := range map[string]string{
		"registries.conf":                   fmt.Sprintf("registries:\n- name: demo\n  prefix: %s\n  api_url: %s\n  insecure: true # plain HTTP\n", reg.host(), reg.URL),
		"tagpin.yaml":                       fmt.Sprintf("bindings:\n- credential: secret:argocd/git-creds\n  kind: git\n  url: %s\n", remote.URL),
		"secrets/argocd/git-creds/username": "you",
		"secrets/argocd/git-creds/password": "a token",
		"plugins/README":                    "the shared volume of the plugins' sockets",
	} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	s.cmd = exec.CommandContext(ctx, tagpin, "serve",
		"--config-dir", ".", // plugin.yaml
		"--plugins-dir", filepath.Join(dir, "plugins"),
		"--registries-conf-path", s.conf,
		"--settings", filepath.Join(dir, "tagpin.yaml"),
		"--secrets-dir", filepath.Join(dir, "secrets"),
		"--git-cache-dir", filepath.Join(dir, "cache"),
		"--status-socket", s.status,
		"--cache-ttl", interval.String(), "--interval", interval.String(), "--push-distance", interval.String(),
		"--log-level", "error")
	s.cmd.Stderr = os.Stderr
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	say("%s", strings.ReplaceAll(strings.Join(s.cmd.Args, " "), dir, "…"))
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if conn, err := net.Dial("unix", s.socket); err == nil {
			return s, conn.Close()
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the plugin server does not answer at %s", s.socket)
}

func (s *sidecar) Close() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
}

// run prints what a tagpin command says.
func (s *sidecar) run(ctx context.Context, args ...string) error {
	say("$ tagpin %s", args[0])
	cmd := exec.CommandContext(ctx, s.tagpin, args...)
	cmd.Env = append(os.Environ(), "TAGPIN_REGISTRIES_CONF_PATH="+s.conf)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("  ", line)
	}
	return err
}
