package registry

import (
	"net/http"
	"strings"
	"time"

	"github.com/tagpin/tagpin/cache"
)

// An Attempt is one request as Options.Told hears of it: one that went out, each retry by itself, or one for which the limit left
// no turn.
type Attempt struct {
	// Registry is the host that was to be asked, or on whose behalf: requests to token servers and blob stores are the registry's.
	Registry string
	// Named says that the operator chose this host. Others come from applications, and there may be any number of them.
	Named bool
	Kind  Kind
	// Status is the answer's; 0 without one. Sent is false when the limit left no turn.
	Status int
	Sent   bool
	// Waited is how long the registry's limit held the request back, Took how long the answer took after that.
	Waited, Took time.Duration
}

// A Kind says what a request asks for.
type Kind string

// The kinds of requests.
const (
	KindTags     Kind = "tags"
	KindManifest Kind = "manifest"
	KindBlob     Kind = "blob"
	KindPing     Kind = "ping"
	KindAPI      Kind = "api"   // of Alibaba Cloud
	KindOther    Kind = "other" // token servers and blob stores
)

// kindOf is the kind of a request to a registry with this host; without a host, to Alibaba Cloud's API.
func kindOf(req *http.Request, host string) Kind {
	path := req.URL.Path
	switch {
	case host == "":
		return KindAPI
	case req.URL.Host != host:
		return KindOther
	case strings.HasSuffix(path, "/tags/list"):
		return KindTags
	case strings.Contains(path, "/manifests/"):
		return KindManifest
	case strings.Contains(path, "/blobs/"):
		return KindBlob
	case path == "/v2/":
		return KindPing
	}
	return KindOther
}

// A Counted cache tells how much it was used and how much it holds.
type Counted interface {
	Stats() cache.Stats
	Len() int
}

// Caches are the caches of answers, by what they hold.
func (r *Registries) Caches() map[string]Counted {
	return map[string]Counted{
		"tags": r.tags, "digests": r.digests, "descriptions": r.tagged, "contents": r.content,
		"pushes": r.acr.pushes, "repository-ids": r.acr.ids,
	}
}
