package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// start serves until the test ends and returns the address.
func (f *fixture) start(t *testing.T, files Files) string {
	t.Helper()
	listener, err := Listen(t.Context(), "127.0.0.1:0", files)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func announce(t *testing.T, client *http.Client, base string) {
	t.Helper()
	resp, err := client.Post(base+"/webhook/acr?secret="+secretA, "application/json", strings.NewReader(acrPush)) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}

func TestServe(t *testing.T) {
	for _, files := range []Files{{Cert: "a"}, {Key: "a"}, {Cert: "/nonexistent", Key: "/nonexistent"}} {
		if l, err := Listen(t.Context(), "127.0.0.1:0", files); err == nil {
			l.Close()
			t.Errorf("listens with %+v", files)
		}
	}
	f := newFixture(t)
	announce(t, &http.Client{}, "http://"+f.start(t, Files{}))
	if marked, _ := f.seen(); marked == "" {
		t.Error("the hint was not taken")
	}
}

// More connections than there is room for wait, and come in turn.
func TestManyConnections(t *testing.T) {
	f := newFixture(t)
	var seconds atomic.Int64
	f.o.Now = func() time.Time { return time.Unix(seconds.Add(1), 0) } // so that no request is one too many
	addr := f.start(t, Files{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range maxConnections + 20 {
		announce(t, client, "http://"+addr)
	}
}

// A renewed certificate counts for the next connection, and one that is half written doesn't.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	files := Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	certify(t, files, 1)
	f := newFixture(t)
	addr := f.start(t, files)
	serial := func() int64 {
		var seen int64
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			VerifyConnection: func(state tls.ConnectionState) error {
				seen = state.PeerCertificates[0].SerialNumber.Int64()
				return nil
			},
		}}}
		announce(t, client, "https://"+addr)
		return seen
	}
	if got := serial(); got != 1 {
		t.Errorf("certificate %d", got)
	}
	certify(t, files, 2)
	if got := serial(); got != 2 {
		t.Errorf("certificate %d after a renewal", got)
	}
	if err := os.WriteFile(files.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("certificate %d while it is written", got)
	}
}

func certify(t *testing.T, files Files, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "hook"}, NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
