// Package webhook takes push notifications from registries, so that an image is looked at when it is pushed and not at the
// next interval. Call New for the http.Handler, and Serve to run it on a port.
//
// A notification is a hint and nothing more. Whoever sends one can make tagpin ask a registry a few seconds earlier than it
// would have by itself; what is deployed is still what the registry answers and the policy chooses. Tag and digest in a
// payload are never used.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
)

const (
	// MinSecret is the shortest secret that is accepted, in bytes: 128 random bits in hexadecimal, as `openssl rand -hex 16`
	// prints. The secret stands in a URL and is all that is asked for.
	MinSecret = 32
	// maxBody is far more than any registry sends.
	maxBody = 1 << 20
	// signatureHeader is GitHub's, which relays know; its value is "sha256=" and the HMAC of the body.
	signatureHeader = "X-Hub-Signature-256"
	pathPrefix      = "/webhook/"
)

// Registries knows which names are one repository, and what has been asked of it.
type Registries interface {
	// Identity is equal for all names of one repository.
	Identity(img image.Image) string
	// MarkStale makes the next question about a repository ask the registry.
	MarkStale(img image.Image) bool
}

// A Loop looks at the applications.
type Loop interface {
	// Pushed makes it look at once at those that use an image. It never blocks.
	Pushed(img image.Image)
}

// A Key is a secret with what it may speak for.
type Key struct {
	// Name is the reference of the secret, for logs.
	Name string
	// Read gives the secrets that count now, one or two. It is called for each request, since mounted files change.
	Read func() ([]string, error)
	// Prefixes are registries, with the beginning of a repository's name or without, in whole path segments.
	Prefixes []image.Image
}

// Options make a Handler. Every field but Log and Now is needed.
type Options struct {
	Keys       []Key
	Registries Registries
	Loop       Loop
	Log        logrus.FieldLogger
	Now        func() time.Time
}

// A Handler answers POST /webhook/<kind>?secret=…[&registry=<host>].
type Handler struct {
	o      Options
	kinds  map[string]parser
	limits *limits
	hints  *hints
}

// New fails when a key can't be read or is too short.
func New(o Options) (*Handler, error) {
	if o.Log == nil {
		o.Log = logrus.StandardLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Keys) == 0 {
		return nil, errors.New("no secret is set: webhooks are only taken from who knows one")
	}
	for _, k := range o.Keys {
		if _, err := k.secrets(); err != nil {
			return nil, err
		}
	}
	h := &Handler{o: o, kinds: parsers(), limits: newLimits()}
	h.hints = &hints{by: map[string]*hint{}, hand: h.hand}
	return h, nil
}

// hand is what a hint does.
func (h *Handler) hand(img image.Image) {
	h.o.Registries.MarkStale(img)
	h.o.Loop.Pushed(img)
}

// A refusal is an answer to the sender. It repeats nothing of the request.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// ServeHTTP implements http.Handler. 200 means that the hint was taken.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := h.o.Log.WithField("remote", r.RemoteAddr)
	if !h.limits.allow(r.RemoteAddr, h.o.Now()) { // nothing of the request has been looked at
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		log.Debug("a webhook came too often")
		return
	}
	img, err := h.accept(w, r)
	var no *refusal
	if errors.As(err, &no) {
		http.Error(w, no.text, no.status)
		log.WithField("status", no.status).Warn("refused a webhook: " + no.text)
		return
	}
	log.WithField("repository", img.Registry+"/"+img.Repository).Info("a push was announced")
	fmt.Fprintln(w, "ok")
}

// accept is all that happens to a request; its error is a *refusal.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request) (image.Image, error) {
	kind, ok := strings.CutPrefix(r.URL.Path, pathPrefix)
	parse := h.kinds[kind]
	if !ok || parse == nil {
		return image.Image{}, &refusal{http.StatusNotFound, "there are /webhook/acr, /webhook/dockerhub and /webhook/harbor"}
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return image.Image{}, &refusal{http.StatusMethodNotAllowed, "a webhook is a POST"}
	}
	keys, body, err := h.authenticate(w, r)
	if err != nil {
		return image.Image{}, err
	}
	img, err := parse(body, r.URL.Query().Get("registry"))
	if err != nil {
		return image.Image{}, &refusal{http.StatusBadRequest, err.Error()}
	}
	if !h.covered(keys, img) {
		return image.Image{}, &refusal{http.StatusForbidden, "this secret is not for this repository: add it to repositories of the webhook in tagpin.yaml"}
	}
	if !h.hints.take(h.o.Registries.Identity(img), img) {
		return image.Image{}, &refusal{http.StatusServiceUnavailable, "too many repositories at a time"}
	}
	return img, nil
}

// authenticate finds the keys whose secret the sender knows, and reads the body: only after that, unless the body is what is
// signed.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request) ([]Key, []byte, error) {
	denied := &refusal{http.StatusUnauthorized, "the secret is missing or wrong"}
	signature := r.Header.Get(signatureHeader)
	var keys []Key
	if signature == "" {
		if keys = h.knowing(shown(r)...); keys == nil {
			return nil, nil, denied
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, nil, &refusal{http.StatusRequestEntityTooLarge, "the body is too large"}
	case err != nil:
		return nil, nil, &refusal{http.StatusBadRequest, "the body did not arrive"}
	}
	if signature != "" {
		if keys = h.signing(signature, body); keys == nil {
			return nil, nil, denied
		}
	}
	return keys, body, nil
}

// shown are the secrets that a request holds: in its URL, or as Harbor's "Auth Header", which is sent as it is written.
func shown(r *http.Request) []string {
	header := r.Header.Get("Authorization")
	bearer, _ := strings.CutPrefix(header, "Bearer ")
	return []string{r.URL.Query().Get("secret"), header, bearer}
}

// knowing gives the keys with one of the secrets, in a time that doesn't depend on which.
func (h *Handler) knowing(shown ...string) []Key {
	return h.matching(func(secret string) bool {
		same := 0
		want := sha256.Sum256([]byte(secret))
		for _, s := range shown {
			got := sha256.Sum256([]byte(s))
			same |= subtle.ConstantTimeCompare(got[:], want[:])
		}
		return same == 1
	})
}

func (h *Handler) signing(signature string, body []byte) []Key {
	text, _ := strings.CutPrefix(signature, "sha256=")
	got, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return h.matching(func(secret string) bool {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		return hmac.Equal(got, mac.Sum(nil))
	})
}

func (h *Handler) matching(match func(secret string) bool) []Key {
	var keys []Key
	for _, k := range h.o.Keys {
		secrets, err := k.secrets()
		if err != nil {
			h.o.Log.WithError(err).Error("a webhook's secret is not accepted")
		}
		found := false
		for _, s := range secrets {
			found = match(s) || found
		}
		if found {
			keys = append(keys, k)
		}
	}
	return keys
}

// secrets are those that are long enough, with an error for the others.
func (k Key) secrets() ([]string, error) {
	all, err := k.Read()
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	long := make([]string, 0, len(all))
	for _, s := range all {
		if len(s) >= MinSecret {
			long = append(long, s)
		}
	}
	if len(long) < len(all) || len(all) == 0 {
		return long, fmt.Errorf("webhooks: %s: a secret has at least %d characters: make one with openssl rand -hex 32", k.Name, MinSecret)
	}
	return long, nil
}

// covered says whether one of the keys may speak for the repository, under any of its registry's names.
func (h *Handler) covered(keys []Key, img image.Image) bool {
	identity := h.o.Registries.Identity(img)
	for _, k := range keys {
		for _, p := range k.Prefixes {
			below := p.Repository == "" || img.Repository == p.Repository || strings.HasPrefix(img.Repository, p.Repository+"/")
			if below && h.o.Registries.Identity(image.Image{Registry: p.Registry, Repository: img.Repository}) == identity {
				return true
			}
		}
	}
	return false
}
