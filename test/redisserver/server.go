// Package redisserver runs Debian's redis-server for tests, as Argo CD's manifests run theirs: with a password, and with nothing
// written to a disk. A test can do to it what happens to a Redis: Kill, Start, Pause, Flush.
package redisserver

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// Password is that of every server. It is a canary, too: it may be in no log and no error.
const Password = "redis-Canary-password"

// Options make a Server.
type Options struct {
	// Args are more arguments of redis-server.
	Args []string
	// TLS makes it speak TLS alone, and ask its clients for this certificate. It then has no Client.
	TLS *Certificate

	sentinel string // a Sentinel's configuration
}

// A Server is one redis-server process at an address of its own.
type Server struct {
	t    testing.TB
	o    Options
	port string
	cmd  *exec.Cmd
}

// Start runs a server until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, o: o, port: freePort(t)}
	s.Start()
	t.Cleanup(func() {
		if s.cmd != nil {
			s.Resume()
			s.Kill()
		}
	})
	return s
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// Addr is host and port.
func (s *Server) Addr() string { return "127.0.0.1:" + s.port }

// Port is that of Addr.
func (s *Server) Port() string { return s.port }

// Start runs the server again, empty, after Kill.
func (s *Server) Start() {
	s.t.Helper()
	args := []string{"--port", s.port, "--bind", "127.0.0.1", "--dir", s.t.TempDir(), "--requirepass", Password}
	switch {
	case s.o.sentinel != "":
		args = append([]string{s.o.sentinel, "--sentinel"}, args...)
	case s.o.TLS != nil:
		args = append(args, "--port", "0", "--tls-port", s.port, "--tls-cert-file", s.o.TLS.Cert, "--tls-key-file", s.o.TLS.Key,
			"--tls-ca-cert-file", s.o.TLS.Cert)
		fallthrough
	default:
		args = append(args, "--save", "", "--appendonly", "no")
	}
	s.cmd = exec.Command("redis-server", append(args, s.o.Args...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("redis-server: %v (make deps installs it)", err)
	}
	waitFor(s.t, "redis-server answers at "+s.Addr(), func() bool {
		if s.o.TLS != nil {
			conn, err := net.Dial("tcp", s.Addr())
			if err == nil {
				conn.Close()
			}
			return err == nil
		}
		client := s.Client()
		defer client.Close()
		return client.Ping(context.Background()).Err() == nil
	})
}

// Kill ends the process at once. What it had is lost.
func (s *Server) Kill() {
	s.t.Helper()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Pause stops the process without ending its connections, as a machine that hangs does.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Client speaks to the server as a person with redis-cli would.
func (s *Server) Client() *goredis.Client {
	return goredis.NewClient(&goredis.Options{Addr: s.Addr(), Password: Password, MaxRetries: -1})
}

// Flush deletes everything.
func (s *Server) Flush() { s.Do("FLUSHALL") }

// Do runs one command.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	client := s.Client()
	defer client.Close()
	reply, err := client.Do(context.Background(), args...).Result()
	if err != nil && err != goredis.Nil { //nolint:errorlint // the library's sentinel
		s.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// Keys are all keys of string values and their values, for tests that look for what must not be there.
func (s *Server) Keys(pattern string) []string {
	s.t.Helper()
	reply, _ := s.Do("KEYS", pattern).([]any)
	keys := make([]string, len(reply))
	for i, k := range reply {
		keys[i] = fmt.Sprint(k)
	}
	return keys
}

// Garbage puts a value of the wrong kind, or nonsense, in the place of everything that is there.
func (s *Server) Garbage() {
	s.t.Helper()
	for i, key := range s.Keys("*") {
		s.Do("DEL", key)
		switch i % 3 {
		case 0:
			s.Do("RPUSH", key, "garbage")
		case 1:
			s.Do("SET", key, strings.Repeat("\x00garbage\xff", 100))
		case 2:
			s.Do("SADD", key, "garbage")
		}
	}
}
