// Package acr runs a real registry that answers like Alibaba Cloud Container Registry: Start, Push, ask, Counts.
//
// It is Debian's docker-registry behind a token server and a front, all on loopback. The token server asks for a login,
// refuses an empty scope and gives tokens of ten minutes; tag lists come whole, without a Link, however long they are; what
// ACR takes for no image can't be pushed. The front counts requests and fails on demand.
//
// A Network gives servers the names that ACR has in the world, a Proxy lets other programs use these names, and a Cloud is
// one of each edition behind such a proxy: go run ./test/acr/run.
package acr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// User and Password are the login that exists when Options.Users is nil.
const (
	User     = "robot@1234567890"
	Password = "acr-Canary-pass:word" // with a colon, as passwords may
)

// Options say how the server differs from an ACR with one account and private repositories.
type Options struct {
	// Users maps names to passwords.
	Users map[string]string
	// Public lets anybody pull.
	Public bool
	// PageSize splits tag lists, with Link headers. Zero: one list without a Link.
	PageSize int
	// LinkHost sends the client to another host for the next page ("http://other:1"), which it must refuse.
	LinkHost string
	// RedirectBlobs sends blob requests to a second host, as ACR does with OSS.
	RedirectBlobs bool
	// AccessToken leaves "token" out of the token server's answers, which then only have "access_token".
	AccessToken bool
	// TLS serves https with a certificate for 127.0.0.1 that CA returns.
	TLS bool
	// Service is what challenges say of the registry; empty: the personal edition's in cn-hangzhou.
	Service string
	// Realm is the host of the token server on a Network ("dockerauth.cn-hangzhou.aliyuncs.com"), Bucket that of the blobs.
	// Without them both are addresses on loopback.
	Realm, Bucket string
}

// A Server is running until Close.
type Server struct {
	opts    Options
	tb      testing.TB // nil outside of tests
	dir     string
	signer  *signer
	cmd     *exec.Cmd
	exited  chan struct{}
	sockets string          // a directory
	way     *http.Transport // to docker-registry itself
	front   *httptest.Server
	tokens  *httptest.Server
	bucket  *httptest.Server

	mu     sync.Mutex
	counts Counts
	faults map[Kind]*Fault
	blobs  map[string][]byte
	leaked bool
	temp   []tempLogin
	passed time.Duration        // see Pass
	ends   map[string]time.Time // of tokens
	onPush []func(Arrival)
}

// backend stands for docker-registry in URLs that go its way.
const backend = "docker-registry.local"

// A tempLogin is one that the API gave out.
type tempLogin struct {
	user, password string
	until          time.Time
}

// Start runs a server until the test ends. It fails the test when docker-registry is not installed.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := New(tb.TempDir(), o)
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(s.Close)
	return s
}

// New runs a server that keeps its data below dir. Close it.
func New(dir string, o Options) (*Server, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, errors.New("docker-registry is not installed: run make deps (apt-get install docker-registry)")
	}
	if o.Users == nil {
		o.Users = map[string]string{User: Password}
	}
	if o.Service == "" {
		o.Service = service
	}
	s := &Server{opts: o, dir: dir, faults: map[Kind]*Fault{}, blobs: map[string][]byte{}, ends: map[string]time.Time{}}
	if s.signer, err = newSigner(filepath.Join(dir, "token.pem")); err != nil {
		return nil, err
	}
	s.front = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.bucket = httptest.NewServer(http.HandlerFunc(s.serveBlob))
	s.tokens = httptest.NewServer(http.HandlerFunc(s.serveToken))
	if o.TLS {
		s.front.StartTLS()
	} else {
		s.front.Start()
	}
	if err := s.run(program); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close stops everything.
func (s *Server) Close() {
	s.stop()
	s.front.Close()
	s.bucket.Close()
	s.tokens.Close()
}

// Host is host:port as images name it.
func (s *Server) Host() string {
	host := strings.TrimPrefix(strings.TrimPrefix(s.front.URL, "https://"), "http://")
	if s.opts.TLS {
		return host
	}
	return local(host)
}

// URL is the api_url.
func (s *Server) URL() string {
	if s.opts.TLS {
		return "https://" + s.Host()
	}
	return "http://" + s.Host()
}

// CA is the certificate to trust with Options.TLS, in PEM.
func (s *Server) CA() []byte {
	return encodeCert(s.front.Certificate().Raw)
}

// ConfFile is a registries.conf that names the server under its own host, or under the given prefixes ("registry.
// cn-hangzhou.aliyuncs.com"). credentials is a reference, or empty.
func (s *Server) ConfFile(credentials string, prefixes ...string) string {
	if len(prefixes) == 0 {
		prefixes = []string{s.Host()}
	}
	var b strings.Builder
	b.WriteString("registries:\n")
	for _, p := range prefixes {
		fmt.Fprintf(&b, "- name: %s\n  prefix: %s\n  api_url: %s\n  insecure: true\n  limit: 100000\n", p, p, s.URL())
		if credentials != "" {
			fmt.Fprintf(&b, "  credentials: %s\n", credentials)
		}
	}
	return b.String()
}

// SetPassword changes or adds a login.
func (s *Server) SetPassword(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := map[string]string{user: password}
	for u, p := range s.opts.Users {
		if u != user {
			users[u] = p
		}
	}
	s.opts.Users = users
}

// realm is where challenges send clients: a host of its own, as with ACR, or, with TLS, the one that the certificate is for.
func (s *Server) realm() string {
	if s.opts.Realm != "" {
		return "https://" + s.opts.Realm + "/auth"
	}
	if s.opts.TLS {
		return s.URL() + "/auth"
	}
	return "http://" + local(strings.TrimPrefix(s.tokens.URL, "http://")) + "/auth"
}

// local writes the loopback address by its name: clients refuse token servers that are given as a private address.
func local(hostport string) string {
	return "localhost" + hostport[strings.LastIndexByte(hostport, ':'):]
}

// run starts docker-registry. It listens on a socket of its own: a port could be another one's by the time it is used.
func (s *Server) run(program string) error {
	var err error
	if s.sockets, err = os.MkdirTemp("", "acr-"); err != nil { // dir may be too long for a socket's name
		return err
	}
	socket := filepath.Join(s.sockets, "s")
	s.way = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	conf := filepath.Join(s.dir, "config.yml")
	if err := os.WriteFile(conf, []byte(s.config(socket)), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "registry.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(program, "serve", conf)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	return s.await()
}

func (s *Server) config(socket string) string {
	return fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
http: {net: unix, addr: %s, relativeurls: true}
auth:
  token: {realm: "%s", service: "%s", issuer: "%s", rootcertbundle: %s}
`, filepath.Join(s.dir, "data"), socket, s.realm(), s.opts.Service, issuer, filepath.Join(s.dir, "token.pem"))
}

// startup is how long docker-registry may take on a busy machine.
const startup = 2 * time.Minute

// await returns when docker-registry asks for a login.
func (s *Server) await() error {
	client := &http.Client{Transport: s.way}
	for end := time.Now().Add(startup); time.Now().Before(end); {
		resp, err := client.Get("http://" + backend + "/v2/")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				return nil
			}
		}
		select {
		case <-s.exited:
			end = time.Time{}
		case <-time.After(20 * time.Millisecond):
		}
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "registry.log"))
	return fmt.Errorf("docker-registry does not start:\n%s", log)
}

func (s *Server) stop() {
	if s.way != nil {
		s.way.CloseIdleConnections()
	}
	if s.exited != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
	if s.sockets != "" {
		_ = os.RemoveAll(s.sockets)
	}
}

// check ends the test, or the program, on an error of the server's own making.
func (s *Server) check(err error) {
	if err == nil {
		return
	}
	if s.tb == nil {
		panic(err)
	}
	s.tb.Helper()
	s.tb.Fatal(err)
}
