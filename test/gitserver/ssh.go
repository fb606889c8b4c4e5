package gitserver

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// sshd is the second server, and what else belongs to one Server alone.
type sshd struct {
	port    int
	user    string
	imports sync.Mutex // CommitAs calls share a scratch ref
}

// SSHURL is the repository's address over SSH.
func (s *Server) SSHURL(repository string) string {
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.ssh.user, s.ssh.port, s.Dir(repository))
}

const sshdPath = "/usr/sbin/sshd"

func (s *Server) startSSH() {
	s.t.Helper()
	if _, err := os.Stat(sshdPath); err != nil {
		s.t.Fatalf("%s is not installed (Debian: apt-get install openssh-server): %v", sshdPath, err)
	}
	me, err := user.Current()
	if err != nil {
		s.t.Fatal(err)
	}
	s.ssh.user, s.ssh.port = me.Username, freePort(s)
	dir := s.t.TempDir()
	for _, key := range []string{"host", "user"} {
		run(s.t, dir, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
	}
	s.SSHKey = s.read(dir, "user")
	s.KnownHosts = fmt.Appendf(nil, "[127.0.0.1]:%d %s", s.ssh.port, s.read(dir, "host.pub"))
	s.KnownHostsFile = filepath.Join(dir, "known_hosts")
	s.write(s.KnownHostsFile, s.KnownHosts)
	s.write(filepath.Join(dir, "authorized_keys"), s.read(dir, "user.pub"))
	s.write(filepath.Join(dir, "sshd_config"), fmt.Appendf(nil, `Port %d
ListenAddress 127.0.0.1
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv %[3]s
LogLevel ERROR
`, s.ssh.port, dir, map[bool]string{true: "NOTHING", false: "GIT_PROTOCOL"}[s.options.OldProtocol]))
	if os.Geteuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) // sshd insists on it when root starts it
	}
	s.runSSHD(filepath.Join(dir, "sshd_config"))
}

func (s *Server) runSSHD(config string) {
	s.t.Helper()
	cmd := exec.Command(sshdPath, "-D", "-e", "-f", config)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", s.ssh.port)
	for range 200 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.t.Fatalf("sshd does not listen: %s", strings.TrimSpace(log.String()))
}

func freePort(s *Server) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *Server) read(dir, name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *Server) write(path string, b []byte) {
	s.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}
