package acr_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tagpin/tagpin/test/acr"
)

// A client that knows nothing of the fake reaches it under ACR's names, and what it shows to whom is recorded.
func TestCloudByItsProxy(t *testing.T) {
	c, err := acr.NewCloud(t.TempDir(), acr.Options{RedirectBlobs: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Push(time.Now().Add(-24 * time.Hour))
	proxy, err := url.Parse(c.Proxy.URL())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.Proxy.CA())
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	for host, server := range map[string]*acr.Server{
		acr.PersonalHost: c.Hangzhou, acr.PersonalVPCHost: c.Hangzhou, acr.ShanghaiHost: c.Shanghai, acr.OwnHost: c.Own,
		acr.InstanceHost: c.Instance, acr.InstanceVPCHost: c.Instance, acr.CustomHost: c.Instance,
	} {
		ref, err := name.NewTag(host + "/" + acr.Repository + ":v2.0")
		if err != nil {
			t.Fatal(err)
		}
		user, password, _ := strings.Cut(server.Login(), ":")
		img, err := remote.Image(ref, remote.WithTransport(transport), remote.WithAuth(&authn.Basic{Username: user, Password: password}))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if _, err := img.ConfigFile(); err != nil { // by way of the bucket
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, s := range c.Net.Seen() {
		if s.User() != "" && !strings.HasPrefix(s.Host, "dockerauth") || s.Scheme != "https" {
			t.Errorf("%+v", s)
		}
	}
	c.Net.Forget()
	resp, err := (&http.Client{Transport: transport}).Get("https://no.such.example/v2/")
	if err == nil {
		resp.Body.Close()
		t.Errorf("a strange host answers HTTP %d", resp.StatusCode)
	}
	if seen := c.Net.Seen(); !slices.ContainsFunc(seen, func(s acr.Seen) bool { return s.Host == "no.such.example" && s.Status == 0 }) {
		t.Errorf("not recorded: %+v", seen)
	}
}
