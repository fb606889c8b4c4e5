package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/tagpin/tagpin/network"
)

// Limits of what is read and asked.
const (
	maxListBytes     = 64 << 20 // one page; a hundred thousand tags take about 4 MiB
	maxManifestBytes = 4 << 20  // as registries themselves allow
	maxConfigBytes   = 8 << 20
	maxOtherBytes    = 64 << 10 // pings, tokens, errors

	// DefaultLimit is in requests per second: what argocd-image-updater's documentation promises. Docker Hub's is lower.
	DefaultLimit   = 20
	dockerHubLimit = 10
	// maxInFlight lets a caller read the metadata of 16 tags at a time, and no more in all.
	maxInFlight = 16

	attemptTimeout = 30 * time.Second // one request, its body included
	headerTimeout  = 15 * time.Second
)

// newTransport builds the way to one registry, from the outside: retries, limits and bounds, schemes, the caller's own
// wrap, connections.
func newTransport(e Endpoint, g guard, b bounded, wrap func(http.RoundTripper) http.RoundTripper) (http.RoundTripper, error) {
	strict, err := connections(e, g, false)
	if err != nil {
		return nil, err
	}
	own := strict
	if e.Insecure {
		if own, err = connections(e, g, true); err != nil {
			return nil, err
		}
	}
	var rt http.RoundTripper = &schemes{api: e.API, own: own, others: strict}
	if wrap != nil {
		rt = wrap(rt)
	}
	b.next, b.host = rt, e.API.Host
	return &retrier{next: &b}, nil
}

// A quota is what may be asked of a registry, under whichever of its host names.
type quota struct {
	slots chan struct{}
	rate  *rate.Limiter // nil where there is none
}

func newQuota(limit int) *quota {
	return &quota{make(chan struct{}, maxInFlight), rate.NewLimiter(rate.Limit(limit), max(limit, maxInFlight))}
}

func connections(e Endpoint, g guard, unverified bool) (*http.Transport, error) {
	pool, err := roots(e)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy:                  network.Guard(g.refused).Proxy,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            network.Guard(g.refused).Dial,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    maxInFlight,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    network.DialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		TLSClientConfig: &tls.Config{
			RootCAs: pool, MinVersion: tls.VersionTLS12,
			InsecureSkipVerify: unverified, //nolint:gosec // the operator's "insecure: true", and for that host alone
		},
	}, nil
}

// roots is nil, which means the system's, unless the entry adds some.
func roots(e Endpoint) (*x509.CertPool, error) {
	pem := []byte(e.CAData)
	if e.CAFile != "" {
		file, err := os.ReadFile(e.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading ca_file: %w", err)
		}
		pem = append(append(pem, '\n'), file...)
	}
	if len(bytes.TrimSpace(pem)) == 0 {
		return nil, nil //nolint:nilnil // nil is the system's pool
	}
	return certPool(pem)
}

func certPool(pem []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("holds no PEM certificate")
	}
	return pool, nil
}

// schemes holds each request to the scheme that its host may use. go-containerregistry would fall back from https to http
// for local names; here only an entry with an http api_url speaks http, and only to its own host name.
type schemes struct {
	api         *url.URL
	own, others http.RoundTripper // own may leave certificates unverified
}

type schemeError struct{ scheme, host string }

func (e *schemeError) Error() string { return e.scheme + " is not used with host " + e.host }

func (s *schemes) RoundTrip(req *http.Request) (*http.Response, error) {
	switch u := req.URL; {
	case strings.EqualFold(u.Host, s.api.Host) && u.Scheme != s.api.Scheme:
		return nil, &schemeError{u.Scheme, u.Host}
	case strings.EqualFold(u.Hostname(), s.api.Hostname()):
		if u.Scheme == "http" && s.api.Scheme != "http" {
			return nil, &schemeError{u.Scheme, u.Host}
		}
		return s.own.RoundTrip(req)
	case u.Scheme != "https":
		return nil, &schemeError{u.Scheme, u.Host}
	}
	return s.others.RoundTrip(req)
}

// bounded keeps to the registry's rate and number of requests in flight, and reads each answer whole, within a bound: so
// a slot is free again when RoundTrip returns, whoever forgets to close a body, and a connection lost in the middle of
// one is seen by the retrier.
type bounded struct {
	next  http.RoundTripper
	host  string // empty for hosts without one limit
	named bool
	*quota
	told func(Attempt) // may be nil
}

func (b *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	a := Attempt{Registry: cmp.Or(b.host, req.URL.Host), Named: b.named, Kind: kindOf(req, b.host)}
	start := time.Now()
	err := b.enter(req)
	a.Waited = time.Since(start)
	var resp *http.Response
	if err == nil {
		start = time.Now()
		resp, err = b.exchange(req)
		a.Sent, a.Took = true, time.Since(start)
	}
	if resp != nil {
		a.Status = resp.StatusCode
	}
	var scheme *schemeError
	if b.told != nil && !errors.As(err, &scheme) { // which never left this process
		b.told(a)
	}
	return resp, err
}

// enter waits for the request's turn and takes a slot.
func (b *bounded) enter(req *http.Request) error {
	if req.URL.Host == b.host { // token servers and buckets have their own limits
		if err := b.rate.Wait(req.Context()); err != nil {
			return errBusy
		}
	}
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-req.Context().Done():
		return context.Cause(req.Context())
	}
}

// exchange sends the request, reads the answer and frees the slot.
func (b *bounded) exchange(req *http.Request) (*http.Response, error) {
	defer func() { <-b.slots }()
	ctx, cancel := context.WithTimeout(req.Context(), attemptTimeout)
	defer cancel()
	resp, err := b.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readAtMost(resp.Body, bound(req, resp))
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.Request = req // without the attempt's context
	return resp, nil
}

// errBusy is what a caller gets whose deadline ends before its turn comes.
var errBusy = errors.New("the request limit leaves no turn before the deadline")

var errTooLarge = errors.New("the answer is too large")

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, errTooLarge
	}
	return b, err
}

// blobLimit is the key of a context that allows for larger blobs than configs.
type blobLimit struct{}

func bound(req *http.Request, resp *http.Response) int64 {
	switch path := req.URL.Path; {
	case resp.StatusCode != http.StatusOK:
		return maxOtherBytes
	case strings.HasSuffix(path, "/tags/list"):
		return maxListBytes
	case strings.Contains(path, "/manifests/"):
		return maxManifestBytes
	case path == "/v2/":
		return maxOtherBytes
	}
	if limit, ok := req.Context().Value(blobLimit{}).(int64); ok {
		return limit
	}
	return maxConfigBytes // blobs, wherever they were redirected to; go-containerregistry bounds tokens
}
