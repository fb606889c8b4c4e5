package registry

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// acrTrust stands in the way to an ACR registry. The challenge decides which token server is asked, but not who gets the
// credential: it goes to the registry's own host, to one of ACR's token servers by name, and to a host that the operator named.
// What the challenge says of region and instance can only confirm what is known. The check is on the request that goes out, so
// that no other reading of a challenge gets around it.
type acrTrust struct {
	next http.RoundTripper
	host string // of the registry's API
	// region and instance are what is known of the registry; empty: unknown.
	region, instance string
	named            func(host string) bool
	log              logrus.FieldLogger
	told             sync.Once
}

// A realmError says that a token server was not asked.
type realmError struct{ host string }

func (e *realmError) Error() string {
	return fmt.Sprintf("the registry names the token server %q, which is none of ACR's, and no credential is sent there: "+
		"if it is right, add it to network.allow in tagpin.yaml", e.host)
}

// An instanceError says that a registry claims to be another instance.
type instanceError struct{ known, claimed string }

func (e *instanceError) Error() string {
	return fmt.Sprintf("the registry says that it is instance %s, and the operator's files say %s: "+
		"correct acr_instance_id in registries.conf, or instance-id and name in tagpin.yaml", e.claimed, e.known)
}

func (t *acrTrust) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.EqualFold(req.URL.Host, t.host) && strings.HasPrefix(req.URL.Path, "/v2/") {
		return t.next.RoundTrip(req)
	}
	// Requests for a token, and whatever a redirect leads to, which has no credential.
	if err := t.allow(req.URL, req.Header.Get("Authorization") != "" || req.Method != http.MethodGet && req.Method != http.MethodHead); err != nil {
		return nil, err
	}
	return t.next.RoundTrip(req)
}

// allow judges a URL that isn't the registry's own; sensitive is true for one that is shown a credential.
func (t *acrTrust) allow(u *url.URL, sensitive bool) error {
	if claim, ok := parseService(u.Query()); ok {
		if err := t.confirm(claim); err != nil {
			return err
		}
	}
	if sensitive && !strings.EqualFold(u.Host, t.host) && !isACRTokenServer(u.Hostname()) && !t.named(u.Hostname()) {
		return &realmError{clip(u.Hostname())}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// confirm refuses another instance. Another region is only told: ACR is known to send some regions' clients elsewhere.
func (t *acrTrust) confirm(c claim) error {
	if t.instance != "" && c.instance != "" && c.instance != t.instance {
		return &instanceError{t.instance, c.instance}
	}
	if t.region != "" && c.region != t.region && slices.Contains(acrRegions(), c.region) {
		t.told.Do(func() {
			t.log.WithFields(logrus.Fields{"registry": t.host, "region": t.region, "claimed": c.region}).
				Warn("the registry says that it is in another region; that changes nothing here, but check the host's name")
		})
	}
	return nil
}

// A claim is what a challenge says of the registry that it comes from.
type claim struct{ region, instance string }

// parseService reads "registry.aliyuncs.com:<region>:…", where any later part may be the instance's id.
func parseService(query url.Values) (claim, bool) {
	parts := strings.Split(query.Get("service"), ":")
	if len(parts) < 2 || parts[0] != "registry.aliyuncs.com" || len(query.Get("service")) > 200 {
		return claim{}, false
	}
	c := claim{region: parts[1]}
	for _, p := range parts[2:] {
		if strings.HasPrefix(p, "cri-") && acrIDRE.MatchString(p) {
			c.instance = p
			break
		}
	}
	return c, true
}
