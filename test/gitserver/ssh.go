package gitserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"
)

// sshd is the second server, and what else belongs to one Server alone.
type sshd struct {
	address *net.TCPAddr
	user    string
	imports sync.Mutex // CommitAs calls share a scratch ref
}

// SSHURL is the repository's address over SSH.
func (s *Server) SSHURL(repository string) string {
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", s.ssh.user, s.ssh.address.Port, s.Dir(repository))
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
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.ssh.user, s.ssh.address = me.Username, listener.Addr().(*net.TCPAddr)
	dir := s.t.TempDir()
	for _, key := range []string{"host", "user"} {
		run(s.t, dir, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)
	}
	s.SSHKey = s.read(dir, "user")
	s.KnownHosts = fmt.Appendf(nil, "[127.0.0.1]:%d %s", s.ssh.address.Port, s.read(dir, "host.pub"))
	s.KnownHostsFile = filepath.Join(dir, "known_hosts")
	s.write(s.KnownHostsFile, s.KnownHosts)
	s.write(filepath.Join(dir, "authorized_keys"), s.read(dir, "user.pub"))
	s.write(filepath.Join(dir, "sshd_config"), fmt.Appendf(nil, `HostKey %[1]s/host
AuthorizedKeysFile %[1]s/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv %[2]s
LogLevel ERROR
`, dir, map[bool]string{true: "NOTHING", false: "GIT_PROTOCOL"}[s.options.OldProtocol]))
	if os.Geteuid() == 0 {
		_ = os.MkdirAll("/run/sshd", 0o755) // sshd insists on it when root starts it
	}
	s.serveSSH(listener, filepath.Join(dir, "sshd_config"))
}

// serveSSH starts an sshd for each connection, as inetd does: so the port is taken once and for all, and no other process can
// have it in between.
func (s *Server) serveSSH(listener net.Listener, config string) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { runSSHD(ctx, c.(*net.TCPConn), config) })
		}
	})
	s.t.Cleanup(func() {
		listener.Close()
		cancel()
		running.Wait()
	})
}

func runSSHD(ctx context.Context, c *net.TCPConn, config string) {
	f, err := c.File()
	c.Close()
	if err != nil {
		return // the client is told by the end of the connection
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, sshdPath, "-i", "-f", config)
	cmd.Stdin, cmd.Stdout = f, f
	_ = cmd.Run()
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
