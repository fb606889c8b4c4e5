package git

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/bradleyfalzon/ghinstallation/v2"
)

// An App is an installation of a GitHub App; its tokens last an hour and are renewed in time.
type App struct {
	ID, InstallationID int64
	// PrivateKey is the app's key in PEM.
	PrivateKey []byte
	// BaseURL is the API of a GitHub Enterprise server ("https://ghe.example.com/api/v3"); empty means api.github.com.
	BaseURL string
}

// Tokens keeps the tokens of GitHub Apps for all Repositories that share it; otherwise each of them asks for its own.
type Tokens struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*appToken
}

// maxTokens bounds the memory; a token that is forgotten is asked for again.
const maxTokens = 1000

// of gives the token of an app, which is made by the first who asks.
func (t *Tokens) of(app App, r Remote, o Options) (*appToken, error) {
	if t == nil {
		return newAppToken(app, r, o)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%d %d %q %q %q %q %t", app.ID, app.InstallationID, app.PrivateKey, app.BaseURL, r.CA, r.Proxy, o.AllowHTTP))
	t.mu.Lock()
	defer t.mu.Unlock()
	if token, known := t.known[key]; known {
		return token, nil
	}
	token, err := newAppToken(app, r, o)
	if err != nil {
		return nil, err
	}
	if t.known == nil || len(t.known) >= maxTokens {
		t.known = map[[sha256.Size]byte]*appToken{}
	}
	t.known[key] = token
	return token, nil
}

type appToken struct {
	transport *ghinstallation.Transport
	shown     string
}

func newAppToken(app App, r Remote, o Options) (*appToken, error) {
	transport := o.Transport
	if transport == nil {
		made, err := httpTransport(r)
		if err != nil {
			return nil, err
		}
		transport = made
	}
	installation, err := ghinstallation.New(transport, app.ID, app.InstallationID, app.PrivateKey)
	if err != nil {
		return nil, &Error{Kind: Authentication, Detail: "the GitHub App's private key is not readable: it must be the PEM file that GitHub gave"}
	}
	installation.Client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	shown := "api.github.com"
	if app.BaseURL != "" {
		u, err := url.Parse(app.BaseURL)
		if err != nil || u.User != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !o.AllowHTTP) {
			return nil, &Error{Kind: BadAddress, Detail: "the GitHub App's base URL must be https, without user information"}
		}
		installation.BaseURL, shown = strings.TrimSuffix(app.BaseURL, "/"), u.Host
	}
	return &appToken{transport: installation, shown: shown}, nil
}

func httpTransport(r Remote) (*http.Transport, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if len(r.CA) > 0 {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(r.CA) {
			return nil, &Error{Kind: TLS, Detail: "the CA holds no PEM certificate"}
		}
	}
	if r.Proxy != "" {
		proxy, err := url.Parse(r.Proxy)
		if err != nil {
			return nil, &Error{Kind: BadAddress, Detail: "the proxy is no URL"}
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return transport, nil
}

func (t *appToken) get(ctx context.Context) (string, error) {
	token, err := t.transport.Token(ctx)
	if err == nil {
		return token, nil
	}
	if ctx.Err() != nil {
		e := osError(ctx.Err())
		e.Remote = t.shown
		return "", e
	}
	e := &Error{Kind: Network, Remote: t.shown, Detail: "no token for the GitHub App: its API can't be reached"}
	if untrusted := (*tls.CertificateVerificationError)(nil); errors.As(err, &untrusted) {
		e.Kind, e.Detail = TLS, "no token for the GitHub App: "+tlsDetail
	}
	if answer := (*ghinstallation.HTTPError)(nil); errors.As(err, &answer) && answer.Response != nil {
		e.Kind, e.Detail = Server, fmt.Sprintf("no token for the GitHub App: its API answered %d", answer.Response.StatusCode)
		if answer.Response.StatusCode < 500 {
			e.Kind, e.Detail = Authentication, e.Detail+"; check app ID, installation ID and private key"
		}
	}
	return "", e
}
