package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// isProxy says whether host is that of the environment's proxy.
func isProxy(host string) bool {
	p := httpproxy.FromEnvironment()
	return slices.ContainsFunc([]string{p.HTTPSProxy, p.HTTPProxy}, func(s string) bool {
		if !strings.Contains(s, "://") {
			s = "http://" + s
		}
		u, err := url.Parse(s)
		return err == nil && u.Host != "" && strings.EqualFold(u.Hostname(), host)
	})
}

// A proxyError is a proxy's refusal to connect.
type proxyError struct{ status int }

func (e *proxyError) Error() string { return fmt.Sprintf("the proxy answers HTTP %d", e.status) }

// proxyAnswer is an OnProxyConnectResponse of http.Transport.
func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &proxyError{resp.StatusCode}
	}
	return nil
}

// problem says what is wrong, and whether it may pass.
func (e *proxyError) problem() (text string, retryable bool) {
	switch {
	case e.status == http.StatusProxyAuthRequired:
		return "the proxy asks for a login: write it into HTTPS_PROXY", false
	case e.status >= http.StatusInternalServerError:
		return "the proxy of HTTPS_PROXY can't reach the host: check its name; a host inside the network may belong into NO_PROXY", true
	}
	return fmt.Sprintf("the proxy of HTTPS_PROXY refuses to connect to the host (HTTP %d): have it allowed there, or put it into NO_PROXY", e.status), false
}
