// Package gitserver runs real Git servers for tests: Start gives one that serves the same bare repositories over HTTP (git's
// own http-backend, with basic auth) and, on request, over SSH (a real sshd). It counts requests and bytes, and injects failures.
package gitserver

import (
	"bytes"
	"crypto/subtle"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Options say how a Server behaves.
type Options struct {
	// Username and Password are asked for by basic auth; when both are empty the server asks for nothing.
	Username, Password string
	// ReadOnly answers pushes with 403.
	ReadOnly bool
	// NoFilter makes a server that has no partial clones.
	NoFilter bool
	// OldProtocol speaks version 0 only, as servers did before 2018 and sshd does without AcceptEnv.
	OldProtocol bool
	// TLS serves https; its certificate is Server.CA.
	TLS bool
	// SSH starts an sshd as well.
	SSH bool
}

// A Server is running until its test ends.
type Server struct {
	// CA is the PEM certificate that signed the server's own, with Options.TLS.
	CA []byte
	// SSHKey is the private key (PEM) that the sshd lets in, KnownHosts the line that a client must hold.
	SSHKey, KnownHosts []byte
	// KnownHostsFile holds KnownHosts.
	KnownHostsFile string

	t         testing.TB
	root      string
	options   Options
	http      *httptest.Server
	ssh       sshd
	counter   counter
	intercept atomic.Pointer[Failure]
}

// A Failure answers a request in the server's place, and returns false to let the server answer it after all.
type Failure func(w http.ResponseWriter, r *http.Request) bool

// Counts is what a server saw on HTTP since it started or since the last Reset.
type Counts struct {
	// Requests counts HTTP requests, those answered by a Failure included.
	Requests int
	// Sent and Received are bytes of connections as the server sees them: Sent is what the client received, headers included.
	Sent, Received int64
	// Log has one line per request: method, path, query.
	Log []string
}

// Start runs a server until t ends. It fails the test when git, or with Options.SSH sshd, is not installed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, options: o, root: t.TempDir()}
	backend := filepath.Join(strings.TrimSpace(run(t, "", nil, "git", "--exec-path")), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Fatalf("git http-backend is not installed (Debian: apt-get install git): %v", err)
	}
	s.http = httptest.NewUnstartedServer(s.handler(backend))
	s.http.Listener = &listener{Listener: s.http.Listener, counter: &s.counter}
	s.http.Config.ErrorLog = quiet()
	if o.TLS {
		s.http.StartTLS()
		s.CA = pemCertificate(s.http.Certificate().Raw)
	} else {
		s.http.Start()
	}
	t.Cleanup(s.http.Close)
	if o.SSH {
		s.startSSH()
	}
	return s
}

// URL is the repository's address over HTTP, without user information.
func (s *Server) URL(repository string) string { return s.http.URL + "/" + repository + ".git" }

// Dir is the bare repository's directory: tests look into it with git.
func (s *Server) Dir(repository string) string { return filepath.Join(s.root, repository+".git") }

// Repositories are the names of those that were created.
func (s *Server) Repositories() []string {
	s.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.root, "*.git"))
	if err != nil {
		s.t.Fatal(err)
	}
	for i, dir := range dirs {
		dirs[i] = strings.TrimSuffix(filepath.Base(dir), ".git")
	}
	return dirs
}

// Fail makes f answer requests; nil ends it.
func (s *Server) Fail(f Failure) {
	if f == nil {
		s.intercept.Store(nil)
		return
	}
	s.intercept.Store(&f)
}

// Counts returns what happened since the start or the last Reset.
func (s *Server) Counts() Counts { return s.counter.read() }

// Reset begins to count anew.
func (s *Server) Reset() { s.counter.reset() }

func (s *Server) handler(backend string) http.Handler {
	env := []string{"GIT_PROJECT_ROOT=" + s.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	git := &cgi.Handler{Path: backend, Dir: s.root, Env: env, Stderr: io.Discard, Logger: quiet()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.counter.request(r)
		if f := s.intercept.Load(); f != nil && (*f)(w, r) {
			return
		}
		if !s.authorised(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if s.options.ReadOnly && (strings.HasSuffix(r.URL.Path, "git-receive-pack") || r.URL.Query().Get("service") == "git-receive-pack") {
			http.Error(w, "you may not push", http.StatusForbidden)
			return
		}
		if s.options.OldProtocol {
			r.Header.Del("Git-Protocol")
		}
		body, err := io.ReadAll(r.Body) // CGI knows no chunked bodies
		if err != nil {
			http.Error(w, "short body", http.StatusBadRequest)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		git.ServeHTTP(w, r)
	})
}

func (s *Server) authorised(r *http.Request) bool {
	if s.options.Username == "" && s.options.Password == "" {
		return true
	}
	user, password, _ := r.BasicAuth()
	return subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(s.options.Username+"\x00"+s.options.Password)) == 1
}

// run runs a program and returns what it printed; env is added to a minimal environment.
func run(t testing.TB, dir string, env []string, name string, args ...string) string {
	t.Helper()
	out, err := try(dir, nil, env, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(dir string, stdin io.Reader, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

type counter struct {
	mu     sync.Mutex
	counts Counts
}

func (c *counter) request(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Requests++
	c.counts.Log = append(c.counts.Log, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.URL.RawQuery))
}

func (c *counter) bytes(sent, received int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Sent += int64(sent)
	c.counts.Received += int64(received)
}

func (c *counter) read() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := c.counts
	copied.Log = append([]string(nil), c.counts.Log...)
	return copied
}

func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = Counts{}
}
