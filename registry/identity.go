package registry

import (
	"sync"

	"github.com/tagpin/tagpin/image"
)

// SameImage says whether two images are one repository, as far as names alone can tell: ACR's public, VPC and internal host
// names are one registry, and so are docker.io's. It is an equivalence. Registries.SameImage knows custom domains, too.
func SameImage(a, b image.Image) bool {
	var none Registries
	none.conf = &confFile{conf: &conf{}}
	return none.SameImage(a, b)
}

// SameImage says whether two images are one repository under different host names.
func (r *Registries) SameImage(a, b image.Image) bool { return r.Identity(a) == r.Identity(b) }

// Identity is the canonical name of an image's repository: equal for all names of one repository. It comes from the host's
// pattern, from registries.conf and from tagpin.yaml, and never from what a registry says of itself. It is for comparing, not
// for asking: requests and manifests keep the host that was written.
func (r *Registries) Identity(img image.Image) string {
	e, path := r.conf.current().find(img)
	if name := r.canonical(e, canonicalHost(registryName(img))); name != "" {
		return name + "/" + path
	}
	if name := r.canonical(e, canonicalHost(e.API.Host)); name != "" {
		return name + "/" + path
	}
	return canonicalHost(registryName(img)) + "/" + path
}

// canonical is the name of an ACR registry by the entry's instance or by a host, or empty.
func (r *Registries) canonical(e *Endpoint, host string) string {
	if e.ACR != nil {
		return canonicalInstance(e.ACR.Region, e.ACR.ID)
	}
	h, ok := parseACR(host)
	if !ok {
		return ""
	}
	if h.edition == enterprise && h.site == "" {
		if i, listed := r.opts.Settings.ACR.Named(h.instance, h.region); listed {
			return canonicalInstance(h.region, string(i.ID))
		}
	}
	return h.String()
}

// origin names where answers come from, for cache keys and limits. Host names of one registry are one origin, but only where
// the server's certificate was verified as anybody's would be: whoever can forge the answers of an insecure entry, or of one with
// a certificate authority of its own, must not fill the cache of another.
func (r *Registries) origin(e *Endpoint) string {
	if e.Insecure || e.API.Scheme != "https" || e.CAFile != "" || e.CAData != "" {
		return e.API.String()
	}
	if name := r.canonical(e, canonicalHost(e.API.Host)); name != "" {
		return name
	}
	return e.API.String()
}

// MarkStale makes the next question about a repository's tags ask the registry, whichever of its host names is used and
// whoever asks; the known list stays as the last known answer. It marks what has been asked since the start, and says
// whether there was anything: it never asks by itself. Images without a registry are Docker Hub's.
func (r *Registries) MarkStale(img image.Image) bool {
	return r.asked.mark(r.Identity(img))
}

// maxAsked bounds what MarkStale knows: beyond, answers age by their TTL alone.
const maxAsked = 50_000

// asked knows the cached answers of each repository, by identity.
type asked struct {
	mu    sync.Mutex
	count int
	by    map[string]map[answerKey]bool
}

type answerKey struct {
	in  interface{ MarkStale(key string) }
	key string
}

func newAsked() *asked { return &asked{by: map[string]map[answerKey]bool{}} }

// note remembers an answer. What is full is emptied: it fills again with the next questions.
func (a *asked) note(identity string, k answerKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by[identity][k] {
		return
	}
	if a.count++; a.count > maxAsked {
		a.count = 1
		clear(a.by)
	}
	if a.by[identity] == nil {
		a.by[identity] = map[answerKey]bool{}
	}
	a.by[identity][k] = true
}

func (a *asked) mark(identity string) bool {
	a.mu.Lock()
	keys := make([]answerKey, 0, len(a.by[identity]))
	for k := range a.by[identity] {
		keys = append(keys, k)
	}
	a.mu.Unlock()
	for _, k := range keys {
		k.in.MarkStale(k.key)
	}
	return len(keys) > 0
}

// claims are region and instance of what the operator or the host's name says about an endpoint; empty where unknown.
func (r *Registries) claims(e *Endpoint) (region, instance string) {
	if e.ACR != nil {
		return e.ACR.Region, e.ACR.ID
	}
	h, ok := e.acrHost()
	if !ok {
		return "", ""
	}
	if i, listed := r.opts.Settings.ACR.Named(h.instance, h.region); h.edition == enterprise && listed {
		return h.region, string(i.ID)
	}
	return h.region, ""
}
