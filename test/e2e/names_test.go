package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The hosts of the documentation.
const (
	acrHost    = "registry.cn-hangzhou.aliyuncs.com"
	acrRealm   = "dockerauth.cn-hangzhou.aliyuncs.com"
	gitHost    = "github.com"
	argocdHost = "argocd.example.com" // port 443 is for webhooks; the argocd program goes to Argo CD's own
	rawHost    = "raw.githubusercontent.com"
	hookHost   = "tagpin.example.com" // an ingress in front of the webhook's port
)

// newAuthority makes an authority and, signed by it, a certificate for all hosts (front.pem and front.key in dir). It returns
// the authority's own certificate.
func newAuthority(dir string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "end to end"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	root, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key) // the one form that kube-apiserver reads
	if err != nil {
		return nil, err
	}
	if err := writePEM(filepath.Join(dir, "front.pem"), "CERTIFICATE", cert); err != nil {
		return nil, err
	}
	if err := writePEM(filepath.Join(dir, "front.key"), "EC PRIVATE KEY", der); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), nil
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// serveNames answers on port 443 for each host with the server behind it, given as the URL of its root.
func serveNames(t *testing.T, behind map[string]string) {
	t.Helper()
	dir := os.Getenv(envInside)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "front.pem"), filepath.Join(dir, "front.key"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", frontAddr+":443")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // a client that leaves is no news
		Rewrite: func(p *httputil.ProxyRequest) {
			host, _, err := net.SplitHostPort(p.In.Host)
			if err != nil {
				host = p.In.Host
			}
			target, err := url.Parse(behind[host])
			if err != nil {
				return
			}
			p.SetURL(target)
			p.Out.Host = p.In.Host
		},
		FlushInterval: -1,
	}
	server := &http.Server{Handler: proxy, ErrorLog: proxy.ErrorLog, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close() })
}
