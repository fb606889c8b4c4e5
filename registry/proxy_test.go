package registry

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What a proxy says to CONNECT is nothing that the registry said.
func TestWhatAProxyRefuses(t *testing.T) {
	for status, want := range map[int]struct {
		says      string
		retryable bool
	}{
		http.StatusProxyAuthRequired:  {"the proxy asks for a login: write it into HTTPS_PROXY", false},
		http.StatusForbidden:          {"the proxy of HTTPS_PROXY refuses to connect to the host (HTTP 403)", false},
		http.StatusBadGateway:         {"the proxy of HTTPS_PROXY can't reach the host: check its name", true},
		http.StatusServiceUnavailable: {"the proxy of HTTPS_PROXY can't reach the host: check its name", true},
	} {
		asked := 0
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			http.Error(w, "Canary", status)
		}))
		address, err := url.Parse(proxy.URL)
		if err != nil {
			t.Fatal(err)
		}
		way := &retrier{&http.Transport{Proxy: http.ProxyURL(address), OnProxyConnectResponse: proxyAnswer}}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://r.example/v2/", nil)
		resp, err := way.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			t.Fatal("answered")
		}
		r := &Repository{ep: implied("r.example")}
		problem, retryable := r.aboutFailure(err)
		if !strings.Contains(problem, want.says) || retryable != want.retryable || strings.Contains(problem, "Canary") {
			t.Errorf("HTTP %d: %s, %t", status, problem, retryable)
		}
		if again := asked > 1; again != want.retryable {
			t.Errorf("HTTP %d: asked %d times", status, asked)
		}
		proxy.Close()
	}
	t.Setenv("HTTPS_PROXY", "proxy.corp:3128")
	t.Setenv("HTTP_PROXY", "http://user:pass@10.1.2.3:3128")
	for host, want := range map[string]bool{"proxy.corp": true, "10.1.2.3": true, "": false, "r.example": false} {
		if isProxy(host) != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
}
