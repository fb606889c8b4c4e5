package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/network"
)

const (
	// maxRedirects is Go's own bound for browsers' habits; a chart behind a CDN takes two.
	maxRedirects = 5
	// maxHosts bounds how many servers are kept connections to.
	maxHosts = 64
	// retryAfter is how long a server that failed for a passing reason is given before it is asked once more.
	retryAfter = 300 * time.Millisecond
)

// A client asks HTTP servers.
type client struct {
	settings config.Settings
	caDir    string

	mu    sync.Mutex
	hosts map[string]*http.Transport // by name and CA
}

func newClient(s config.Settings, caDir string) *client {
	return &client{settings: s, caDir: caDir, hosts: map[string]*http.Transport{}}
}

// A question is one GET.
type question struct {
	url   string
	limit int64 // of the answer, in bytes
	// login is sent to URLs that mayKnow allows, and nowhere else, wherever redirects lead.
	login   config.Login
	mayKnow func(url string) bool
	// known is what was there last time.
	known record
}

// An answer is what a server has. Same says that it is what was known.
type answer struct {
	data           []byte
	same           bool
	etag, modified string
	html           bool
}

// get asks, and once more after a failure that may pass.
func (c *client) get(ctx context.Context, q question) (answer, error) {
	a, err := c.once(ctx, q)
	if err == nil || !passing(err) || ctx.Err() != nil {
		return a, err
	}
	select {
	case <-ctx.Done():
		return a, err
	case <-time.After(retryAfter):
	}
	return c.once(ctx, q)
}

func (c *client) once(ctx context.Context, q question) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url, nil)
	if err != nil {
		return answer{}, errNotURL // err repeats the URL
	}
	req.Header.Set("User-Agent", "tagpin")
	if q.known.ETag != "" {
		req.Header.Set("If-None-Match", q.known.ETag)
	}
	if q.known.Modified != "" {
		req.Header.Set("If-Modified-Since", q.known.Modified)
	}
	asking := &http.Client{Transport: &asker{c, q}, CheckRedirect: follow}
	resp, err := asking.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && q.known.Digest != "":
		return answer{same: true}, nil
	case resp.StatusCode != http.StatusOK:
		return answer{}, &statusError{resp.StatusCode, q.login != config.Login{}}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, q.limit+1))
	if err != nil {
		return answer{}, err
	}
	if int64(len(data)) > q.limit {
		return answer{}, &tooLargeError{q.limit}
	}
	return answer{data: data, etag: resp.Header.Get("ETag"), modified: resp.Header.Get("Last-Modified"), html: isHTML(resp)}, nil
}

func isHTML(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "text/html"
}

var (
	errNotURL   = errors.New("this is not a URL")
	errRedirect = errors.New("the server redirects too often, or from https to http: use the address where the file really is")
)

// follow refuses what no file is worth.
func follow(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return errRedirect
	}
	req.Header.Del("Referer") // the URL before may hold a secret in its query
	return nil
}

// An asker adds the login to requests that may have it, at every hop anew.
type asker struct {
	c *client
	q question
}

func (a *asker) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	if a.q.mayKnow != nil && (a.q.login != config.Login{}) && a.q.mayKnow(req.URL.String()) {
		req.SetBasicAuth(a.q.login.User, a.q.login.Password)
	}
	transport, err := a.c.transport(req.URL)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(req)
}

// transport is the way to one host. Its CA is that of the directory, read each time: a new one counts at once.
func (c *client) transport(u *url.URL) (*http.Transport, error) {
	pem, err := config.CA(c.caDir, u.Hostname())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(pem)
	key := u.Hostname() + string(sum[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.hosts[key]; t != nil {
		return t, nil
	}
	t := &http.Transport{
		Proxy:                 network.Guard(c.refused).Proxy,
		DialContext:           network.Guard(c.refused).Dial,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // servers that call an archive's own compression the transport's would spoil it
		MaxIdleConnsPerHost:   atATime,
		MaxConnsPerHost:       2 * atATime,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   network.DialTimeout,
		ResponseHeaderTimeout: 15 * time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(pem) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errCA
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if len(c.hosts) >= maxHosts {
		for key, old := range c.hosts {
			old.CloseIdleConnections()
			delete(c.hosts, key)
		}
	}
	c.hosts[key] = t
	return t, nil
}

var errCA = errors.New("the file with the server's CA (--tls-certs-dir) holds no PEM certificate")

// refused is a network.Guard: hosts that the operator named may have private addresses.
func (c *client) refused(host, _ string, addr netip.Addr) string {
	kind := network.Refused(addr)
	if kind != "" && kind != network.Metadata && c.settings.MayDial(host, addr) {
		return ""
	}
	return kind
}
