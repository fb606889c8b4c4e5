package acr

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// A Network gives servers the names that ACR has in the world, and records every request. Its Wrap goes around a client's
// transport: nothing that passes it leaves the machine. A request to a name that was not added is recorded and fails.
type Network struct {
	mu    sync.Mutex
	to    map[string]string // host, or host and service of a token server, to an address on loopback
	seen  []Seen
	watch func(Seen)
}

// A Seen is one request.
type Seen struct {
	Method, Scheme, Host, Path string
	Query                      url.Values
	// Authorization is the header as it was sent.
	Authorization string
	// Sent is all of the request that could hold a secret: the URL, the headers, and the beginning of the body.
	Sent string
	// Status is that of the answer; zero: there was none.
	Status int
}

// User is the user name that a request shows a password of, or empty.
func (s Seen) User() string {
	req := http.Request{Header: http.Header{"Authorization": {s.Authorization}}}
	user, _, _ := req.BasicAuth()
	return user
}

// NewNetwork is empty.
func NewNetwork() *Network { return &Network{to: map[string]string{}} }

// Add makes a server known by registry host names, with its token server and its bucket.
func (n *Network) Add(s *Server, hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range hosts {
		n.to[h] = hostOf(s.front.URL)
	}
	n.to[s.opts.Realm+" "+s.opts.Service] = hostOf(s.tokens.URL)
	n.to[s.opts.Bucket] = hostOf(s.bucket.URL)
}

// AddAPI makes the API known by its endpoints.
func (n *Network) AddAPI(a *API, hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range hosts {
		n.to[h] = hostOf(a.server.URL)
	}
}

func hostOf(u string) string { return u[strings.LastIndexByte(u, '/')+1:] }

// Seen returns all requests so far.
func (n *Network) Seen() []Seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Seen(nil), n.seen...)
}

// Forget drops what was recorded.
func (n *Network) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = nil
}

// Watch makes f get each request when it is answered.
func (n *Network) Watch(f func(Seen)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watch = f
}

// Wrap sends requests to the servers instead of to next.
func (n *Network) Wrap(http.RoundTripper) http.RoundTripper { return (*networkTransport)(n) }

type networkTransport Network

// maxSent bounds what is recorded of a body.
const maxSent = 64 << 10

func (t *networkTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	seen := Seen{Method: req.Method, Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, Query: req.URL.Query(),
		Authorization: req.Header.Get("Authorization")}
	seen.Sent = fmt.Sprint(req.URL, "\n", req.Header, "\n")
	out := req.Clone(req.Context())
	service := req.URL.Query().Get("service")
	if req.Body != nil {
		beginning, err := io.ReadAll(io.LimitReader(req.Body, maxSent))
		if err != nil {
			return nil, err
		}
		seen.Sent += string(beginning)
		if form, err := url.ParseQuery(string(beginning)); err == nil && service == "" {
			service = form.Get("service")
		}
		out.Body = rest{io.MultiReader(bytes.NewReader(beginning), req.Body), req.Body}
	}
	resp, err := t.send(out, service)
	if err == nil {
		resp.Request = req
		seen.Status = resp.StatusCode
	}
	(*Network)(t).record(seen)
	return resp, err
}

func (n *Network) record(s Seen) {
	n.mu.Lock()
	n.seen = append(n.seen, s)
	watch := n.watch
	n.mu.Unlock()
	if watch != nil {
		watch(s)
	}
}

// knows says whether a server has this name.
func (n *Network) knows(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.to {
		if known, _, _ := strings.Cut(name, " "); known == host {
			return true
		}
	}
	return false
}

type rest struct {
	io.Reader
	io.Closer
}

// send brings a request to the server that its host stands for, or, for a token server, its host and service.
func (t *networkTransport) send(out *http.Request, service string) (*http.Response, error) {
	t.mu.Lock()
	addr, ok := t.to[out.URL.Host]
	if !ok {
		addr, ok = t.to[out.URL.Host+" "+service]
	}
	t.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no route to %s", out.URL.Host)
	}
	out.Host = out.URL.Host
	out.URL.Scheme, out.URL.Host = "http", addr
	return http.DefaultTransport.RoundTrip(out)
}
