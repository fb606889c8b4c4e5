package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// A Kind is what a Need is for.
type Kind string

// The kinds of needs.
const (
	// ChartNeed is an archive of a chart: of the repository at URL the chart Name in a version that Version allows, or with Locked
	// in exactly that one.
	ChartNeed Kind = "chart"
	// FileNeed is what an HTTP server has at URL.
	FileNeed Kind = "file"
	// BaseNeed is the tree of the Git repository at Repository at Ref; empty is the server's HEAD.
	BaseNeed Kind = "base"
	// ResourceNeed is a FileNeed or a BaseNeed: kustomize finds out which by asking.
	ResourceNeed Kind = "resource"
)

// A Need is what a render needs from elsewhere. The render itself fetches nothing.
type Need struct {
	Kind            Kind
	URL             string `json:",omitempty"`
	Name, Version   string `json:",omitempty"`
	Locked          bool   `json:",omitempty"`
	Repository, Ref string `json:",omitempty"`
}

// Key is the need's name in Request.Fetched.
func (n Need) Key() string {
	data, err := json.Marshal(n)
	if err != nil {
		return "" // strings and booleans only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// String is for people: no user, no query, which may be secrets.
func (n Need) String() string {
	switch n.Kind {
	case ChartNeed:
		return fmt.Sprintf("chart %s %s from %s", n.Name, n.Version, Bare(n.URL))
	case BaseNeed:
		return "base " + Bare(n.Repository)
	}
	return Bare(n.URL)
}

// Bare is a URL without its user and query.
func Bare(raw string) string {
	raw, _, _ = strings.Cut(raw, "?")
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return raw[strings.LastIndex(raw, "@")+1:]
	}
	u.User, u.Fragment = nil, ""
	return u.String()
}

// A NeedsError ends a render that needs something which isn't in Request.Fetched. There may be more of it next time: what is
// fetched can need something itself.
type NeedsError struct{ Needs []Need }

func (e *NeedsError) Error() string {
	names := make([]string, len(e.Needs))
	for i, n := range e.Needs {
		names[i] = n.String()
	}
	return "this is not in the repository, and nothing is fetched here: " + strings.Join(names, "; ") + "; keep it in the repository"
}

// fetch is the path of what was fetched for a need. Without one the need is told when the render can't go on.
func (t *tree) fetch(n Need) (path string, ok bool) {
	t.reads.dependsOnMore()
	path, ok = t.fetched[n.Key()]
	if !ok && !slices.Contains(t.missing, n) {
		t.missing = append(t.missing, n)
	}
	return path, ok
}

// readFetched reads a file that was fetched.
func readFetched(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading what was fetched: %w", bare(err))
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	data, err := os.ReadFile(file)
	return data, bare(err)
}

// unmet ends a render whose needs are unknown to whom asked for it.
func (t *tree) unmet() error {
	if len(t.missing) == 0 {
		return nil
	}
	return &NeedsError{Needs: t.missing}
}
