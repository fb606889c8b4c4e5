package acr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What comes in: ACR takes no manifest whose config is one of these, and its triggers tell of all others.
var unknownClasses = []string{"application/vnd.oci.empty.v1+json", "application/vnd.buildkit.cacheconfig.v0"}

const maxManifest = 4 << 20

// unknownClass is the media type for which ACR refuses the push of a manifest, or empty.
func unknownClass(r *http.Request) string {
	if r.Method != http.MethodPut || kindOf(r.URL.Path) != Manifest {
		return ""
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxManifest))
	r.Body = io.NopCloser(bytes.NewReader(body))
	var manifest struct {
		Config struct {
			MediaType string `json:"mediaType"`
		} `json:"config"`
	}
	if json.Unmarshal(body, &manifest) != nil || !slices.Contains(unknownClasses, manifest.Config.MediaType) {
		return ""
	}
	return manifest.Config.MediaType
}

func deny(w http.ResponseWriter, class string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"unknown manifest class for %s"}]}`, class)
}

// An Arrival is a tag that was pushed.
type Arrival struct{ Repository, Tag, Digest string }

// OnPush makes f get each tag that is pushed from now on.
func (s *Server) OnPush(f func(Arrival)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onPush = append(s.onPush, f)
}

func (s *Server) tell(a Arrival) {
	s.mu.Lock()
	told := slices.Clone(s.onPush)
	s.mu.Unlock()
	for _, f := range told {
		f(a)
	}
}

// Announce sends what a trigger that is set in ACR's console sends for a push, and returns the HTTP status. It tells neither
// instance nor host.
func (s *Server) Announce(url string, a Arrival) (status int, err error) {
	namespace, name, _ := strings.Cut(a.Repository, "/")
	region := strings.Split(s.opts.Service, ":")[1]
	body, err := json.Marshal(map[string]any{
		"push_data": map[string]any{"digest": a.Digest, "pushed_at": time.Now().UTC().Add(8 * time.Hour).Format(time.DateTime), "tag": a.Tag},
		"repository": map[string]any{
			"date_created": "2016-10-28 21:31:42", "name": name, "namespace": namespace, "region": region,
			"repo_authentication_type": "NO_CERTIFIED", "repo_full_name": a.Repository, "repo_origin_type": "NO_CERTIFIED", "repo_type": "PRIVATE",
		},
	})
	if err != nil {
		return 0, err
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// arrived tells of a manifest that docker-registry took from a client; the parts of an index come by digest.
func (s *Server) arrived(resp *http.Response) {
	path := strings.TrimPrefix(resp.Request.URL.Path, "/v2/")
	if repo, tag, ok := strings.Cut(path, "/manifests/"); ok && !strings.Contains(tag, ":") {
		go s.tell(Arrival{repo, tag, resp.Header.Get("Docker-Content-Digest")})
	}
}
