package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/tagpin/tagpin/image"
)

// A Probe looks at the way to an image's registry, step by step and without its caches, for who wants to know which step
// fails. Its errors are those of a Repository.
type Probe struct {
	repo *Repository
	// Host is host[:port] of the registry's API.
	Host string
}

// Probe begins with what the operator's files say; nothing is asked.
func (r *Registries) Probe(img image.Image) (*Probe, error) {
	c := r.conf.current()
	ep, path := c.find(img)
	repo := &Repository{r: r, ep: ep, host: registryName(img), path: path, origin: r.origin(ep), identity: r.Identity(img)}
	via, err := r.hostOf(c, ep)
	if err != nil {
		return nil, repo.problem(err)
	}
	repo.via = via
	return &Probe{repo, ep.API.Host}, nil
}

// Lookup gives the addresses of the host; none where a proxy does that.
func (p *Probe) Lookup(ctx context.Context) ([]string, error) {
	if u, err := http.ProxyFromEnvironment(&http.Request{URL: p.repo.ep.API}); err == nil && u != nil {
		return nil, nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, p.repo.ep.API.Hostname())
	return addresses, p.repo.explain(err, "")
}

// A Challenge is what a registry tells who shows no credential. None of it is proven.
type Challenge struct {
	// TLS is the version, such as "TLS 1.3"; empty for plain http. Unverified means that nobody looked at the certificate.
	TLS        string
	Unverified bool
	// Scheme is bearer or basic, in lower case; empty: the registry asks for nothing.
	Scheme string
	// Realm is the host of the token server, if it is one.
	Realm string
	// Problem is why no login would be sent there; nil: it would.
	Problem error
	// Claimed is the ACR instance that the registry says it is, where the operator's files name none; else nil.
	Claimed *ACRRef
}

// Challenge asks GET /v2/ without a credential.
func (p *Probe) Challenge(ctx context.Context) (Challenge, error) {
	ep := p.repo.ep
	reg, err := apiName(*ep)
	if err != nil {
		return Challenge{}, p.repo.problem(err)
	}
	seen := &tlsRecorder{next: p.repo.via.rt}
	answer, err := transport.Ping(ctx, reg, seen)
	if err != nil {
		return Challenge{}, p.repo.explain(err, "")
	}
	c := Challenge{TLS: seen.version(), Unverified: ep.Insecure, Scheme: strings.ToLower(answer.Scheme)}
	service := url.Values{"service": {answer.Parameters["service"]}}
	if realm, err := url.Parse(answer.Parameters["realm"]); err == nil && hostRE.MatchString(realm.Host) {
		c.Realm = clip(realm.Host)
		realm.RawQuery = service.Encode()
		c.Problem = p.repo.explain(p.mistrust(realm), "")
	}
	if said, ok := parseService(service); ok {
		c.Claimed = p.claimed(said)
	}
	return c, nil
}

// mistrust says why a token server gets no login, as far as it shows before one is sent.
func (p *Probe) mistrust(realm *url.URL) error {
	if t := p.repo.r.trust(p.repo.ep); t != nil {
		return t.allow(realm, true)
	}
	return nil
}

// claimed is what registries.conf could say, or nil.
func (p *Probe) claimed(said claim) *ACRRef {
	_, known := p.repo.r.claims(p.repo.ep)
	if known != "" || said.instance == "" || !slices.Contains(acrRegions(), said.region) {
		return nil
	}
	if h, ok := parseACR(p.repo.ep.API.Hostname()); ok && (h.edition != enterprise || h.region != said.region) {
		return nil // the name tells better
	}
	return &ACRRef{said.instance, said.region}
}

// Propose is what to add to the operator's files if the host is the instance that it says it is.
func (p *Probe) Propose(claimed ACRRef) string {
	if h, ok := p.repo.ep.acrHost(); ok { // an entry in registries.conf would say no more than the name does
		return fmt.Sprintf("in tagpin.yaml, for logins without a stored password and for newest-push:\nacr:\n  instances:\n  - instance-id: %s\n"+
			"    name: %s\n    region: %s\n    auth: rrsa   # or secret:<namespace>/<name>\n", claimed.ID, h.instance, claimed.Region)
	}
	lines := fmt.Sprintf("  acr_instance_id: %s\n  acr_region: %s\n", claimed.ID, claimed.Region)
	if p.repo.ep.Named {
		return fmt.Sprintf("in registries.conf, in the entry named %s:\n%s", p.repo.ep.Name, lines)
	}
	return fmt.Sprintf("in registries.conf:\nregistries:\n- name: %s\n  api_url: %s\n  prefix: %s\n%s"+
		"  # and credentials, or list the instance under acr: instances: in tagpin.yaml\n", p.repo.host, p.repo.ep.API, p.repo.host, lines)
}

// Login exchanges the credential for a token, where the registry has a token server. It says whether it has.
func (r *Repository) Login(ctx context.Context) (token bool, err error) {
	reg, err := apiName(*r.ep)
	if err != nil {
		return false, r.problem(err)
	}
	auth := authn.Anonymous
	if l := r.cred.Load(); !l.anonymous() {
		auth = authn.FromConfig(authn.AuthConfig{Username: l.user, Password: l.password})
	}
	rt := &sameScheme{r.via.rt, r.ep.API.Scheme, reg.Scheme()}
	answer, err := transport.Ping(ctx, reg, rt)
	if err == nil {
		_, err = transport.NewWithContext(ctx, reg, auth, rt, []string{reg.Repo(r.path).Scope(transport.PullScope)})
	}
	if err != nil {
		return false, r.explain(err, "")
	}
	return strings.EqualFold(answer.Scheme, "bearer"), nil
}

// Credential says where the credential comes from; empty: there is none.
func (r *Repository) Credential() string {
	if l := r.cred.Load(); !l.anonymous() {
		return l.String()
	}
	return ""
}

func apiName(e Endpoint) (name.Registry, error) {
	opts := []name.Option{name.StrictValidation}
	if e.API.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(e.API.Host, opts...)
	if err != nil {
		return reg, fmt.Errorf("no registry can have this host: check api_url")
	}
	return reg, nil
}

// tlsRecorder remembers the connection of the last answer.
type tlsRecorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	tls  *tls.ConnectionState
}

func (r *tlsRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err == nil {
		r.mu.Lock()
		r.tls = resp.TLS
		r.mu.Unlock()
	}
	return resp, err
}

func (r *tlsRecorder) version() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tls == nil {
		return ""
	}
	return tls.VersionName(r.tls.Version)
}
