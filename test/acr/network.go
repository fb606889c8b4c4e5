package acr

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// A Network gives servers the names that ACR has in the world, and records every request. Its Wrap goes around a client's
// transport: nothing that passes it leaves the machine. A request to a name that was not added is recorded and fails.
type Network struct {
	mu   sync.Mutex
	to   map[string]string // host, or host and service of a token server, to an address on loopback
	seen []Seen
}

// A Seen is one request.
type Seen struct {
	Scheme, Host, Path string
	Query              url.Values
	// Authorization is the header as it was sent.
	Authorization string
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

// Wrap sends requests to the servers instead of to next.
func (n *Network) Wrap(http.RoundTripper) http.RoundTripper { return (*networkTransport)(n) }

type networkTransport Network

func (t *networkTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.mu.Lock()
	t.seen = append(t.seen, Seen{req.URL.Scheme, req.URL.Host, req.URL.Path, req.URL.Query(), req.Header.Get("Authorization")})
	addr, ok := t.to[req.URL.Host]
	if !ok {
		addr, ok = t.to[req.URL.Host+" "+req.URL.Query().Get("service")]
	}
	t.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no route to %s", req.URL.Host)
	}
	out := req.Clone(req.Context())
	out.Host = req.URL.Host
	out.URL.Scheme, out.URL.Host = "http", addr
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err == nil {
		resp.Request = req
	}
	return resp, err
}
