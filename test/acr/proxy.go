package acr

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

// A Proxy is a Network for programs that run elsewhere: with HTTPS_PROXY set to its URL, and SSL_CERT_FILE to its CA, every
// request of theirs goes to the network's servers under ACR's own names, and is recorded. It makes certificates for whatever
// name is asked for, so its CA is for nothing else.
type Proxy struct {
	net    *Network
	server *httptest.Server // the proxy itself
	inner  *httptest.Server // what https ends at
	key    *ecdsa.PrivateKey
	ca     *x509.Certificate

	mu    sync.Mutex
	certs map[string]*tls.Certificate
}

// NewProxy runs a proxy. Close it.
func NewProxy(n *Network) (*Proxy, error) {
	p := &Proxy{net: n, certs: map[string]*tls.Certificate{}}
	var err error
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a fake ACR"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p.key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	p.inner = httptest.NewUnstartedServer(http.HandlerFunc(p.forward))
	p.inner.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that don't trust the CA
	p.inner.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate}
	p.inner.StartTLS()
	return p, nil
}

// URL is the proxy's.
func (p *Proxy) URL() string { return p.server.URL }

// CA is the certificate to trust, in PEM.
func (p *Proxy) CA() []byte { return encodeCert(p.ca.Raw) }

// Close ends all connections.
func (p *Proxy) Close() {
	p.inner.CloseClientConnections()
	p.inner.Close()
	p.server.Close()
}

// serve takes CONNECT for https, whatever the host: the inner server answers for all of them. Requests for http come whole.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		p.forward(w, r)
		return
	}
	host := strings.TrimSuffix(r.Host, ":443")
	if !p.net.knows(host) {
		p.net.record(Seen{Method: http.MethodConnect, Scheme: "https", Host: host})
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	inner, err := net.Dial("tcp", p.inner.Listener.Addr().String())
	if err != nil {
		http.Error(w, "no more connections", http.StatusBadGateway)
		return
	}
	defer inner.Close()
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	// Only now: the client speaks at once, and what it says must not be read by the server that let go of it.
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(inner, buffered)
		inner.Close()
	}()
	_, _ = io.Copy(conn, inner)
}

func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	proxy := &httputil.ReverseProxy{
		Transport: p.net.Wrap(nil),
		ErrorLog:  log.New(io.Discard, "", 0), // hosts that are not there
		Rewrite: func(out *httputil.ProxyRequest) {
			out.Out.URL.Scheme, out.Out.URL.Host = "http", r.Host
			if r.TLS != nil {
				out.Out.URL.Scheme = "https"
			}
		},
	}
	proxy.ServeHTTP(w, r)
}

// certificate is one for whatever host is wanted.
func (p *Proxy) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := hello.ServerName
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.certs[host]; known != nil {
		return known, nil
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: p.ca.NotBefore, NotAfter: p.ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, p.key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	p.certs[host] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.key}
	return p.certs[host], nil
}
