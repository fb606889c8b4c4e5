package registry

import (
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// userNotExist is ACR's own code, for a RAM user that it has never seen.
const userNotExist transport.ErrorCode = "USER_NOT_EXIST"

// acrHint adds to an answer what ACR means by it: it answers several causes alike. Empty for other registries.
func (r *Repository) acrHint(e *Error) string {
	h, known := r.ep.acrHost()
	if !known {
		h, known = parseACR(r.host)
	}
	if !known && r.ep.ACR == nil {
		return ""
	}
	switch {
	case e.Code == string(userNotExist):
		return "; ACR does not know this RAM user yet: sign in to its console once as that user and set a registry password"
	case e.Status == http.StatusUnauthorized:
		return refusedHint(r.cred.Load(), h.edition)
	case e.Status == http.StatusForbidden && e.Tag != "":
		return "; ACR also denies what it takes for no image (attestations, build caches): if the push said \"unknown manifest class\", " +
			"build with provenance: false"
	case e.Status == http.StatusNotFound && e.Tag == "":
		return "; on ACR it is <namespace>/<name> in one region, and a RAM identity needs cr:PullRepository"
	case e.Status == http.StatusTooManyRequests:
		return "; ACR publishes no limit and says no time to wait"
	}
	return ""
}

// loginMissing says where a credential would go.
func (r *Repository) loginMissing() string {
	_, known := r.ep.acrHost()
	switch {
	case known && r.ep.Named:
		return "add credentials to its entry in registries.conf (the Secret argocd/acr serves only hosts without an entry)"
	case known && r.noField.Load():
		return "the Secret argocd/acr is mounted and has no field acr: put user:password there"
	case known:
		return "mount the Secret argocd/acr with user:password in its field acr, or add an entry with credentials to registries.conf"
	}
	place := "an entry with credentials to"
	if r.ep.Named {
		place = "credentials to its entry in"
	}
	return "add " + place + " registries.conf, or a pull-secret that the operator bound" + r.lookAlike()
}

// lookAlike tells of a host that would be ACR's, were its region one that is known.
func (r *Repository) lookAlike() string {
	h, known := parseACR(canonicalHost(r.ep.API.Host))
	if known || h.region == "" {
		return ""
	}
	return fmt.Sprintf("; the host looks like ACR's, but %q is no region that this version of tagpin knows: did you mean %q? "+
		"If it is a new region, add an entry with credentials", clip(h.region), nearest(h.region, acrRegions()))
}

func refusedHint(l *login, of edition) string {
	switch {
	case l.anonymous() && of == personalInstance:
		return "; a personal instance (crpi-) gives nothing without a login"
	case l.anonymous():
		return "; without one ACR answers the same for a private repository and for one that does not exist"
	case l.who != "":
		return "; on ACR: a temporary login is good for its own instance alone, and its identity needs cr:PullRepository on this repository"
	}
	return "; on ACR that is the registry password, not the console's (a RAM user's is its own, with the name user@account), each " +
		"region and instance has another one, and a repository that the account may not see is answered the same"
}
