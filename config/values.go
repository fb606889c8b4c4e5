package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/agnivade/levenshtein"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A Size is a number of bytes, at least 1, written as a Kubernetes quantity: 512Mi, 1G, 1048576.
type Size int64

// UnmarshalText parses a quantity.
func (s *Size) UnmarshalText(text []byte) error {
	q, err := resource.ParseQuantity(string(text))
	n, whole := q.AsInt64()
	if err != nil || !whole || n < 1 {
		return fmt.Errorf("%q is not a size: write whole bytes as a quantity, like 512Mi or 1Gi", text)
	}
	*s = Size(n)
	return nil
}

// A Glob is a pattern of path.Match: * and ? don't match a slash.
type Glob string

// UnmarshalText checks the pattern.
func (g *Glob) UnmarshalText(text []byte) error {
	if _, err := path.Match(string(text), ""); err != nil || len(text) == 0 {
		return fmt.Errorf("%q is not a pattern: write a name with *, ? or [a-z]", text)
	}
	*g = Glob(text)
	return nil
}

func matchAny(globs []Glob, name string) bool {
	for _, g := range globs {
		if ok, err := path.Match(string(g), name); ok && err == nil {
			return true
		}
	}
	return false
}

// literal is the glob that matches name alone.
func literal(name string) Glob {
	return Glob(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name))
}

// A Kind is what a credential opens.
type Kind string

// The kinds of a binding. The last three are fetched for renders: chart repositories, the Git repositories of kustomize's remote
// bases, and single files.
const (
	Git      Kind = "git"
	Registry Kind = "registry"
	Chart    Kind = "chart"
	Base     Kind = "base"
	File     Kind = "file"
)

// fetched says that a binding of this kind also allows to fetch without a credential.
func (k Kind) fetched() bool { return k == Chart || k == Base || k == File }

// opens is what a URL of this kind is, in a sentence.
func (k Kind) opens() string {
	switch k {
	case Git, Base:
		return "Git repository"
	case Chart:
		return "chart repository"
	default:
		return string(k)
	}
}

// UnmarshalText accepts the kinds.
func (k *Kind) UnmarshalText(text []byte) error {
	names := []string{string(Git), string(Registry), string(Chart), string(Base), string(File)}
	for _, n := range names {
		if n == string(text) {
			*k = Kind(n)
			return nil
		}
	}
	return fmt.Errorf("unknown kind %q%s: write git, registry, chart, base or file", text, nearest(string(text), names))
}

// A WriteBackMethod is "none", "git" or "git:" with a reference: repocreds, or the secret: of a credential.
type WriteBackMethod string

// UnmarshalText checks the method.
func (m *WriteBackMethod) UnmarshalText(text []byte) error {
	method, ref, hasRef := strings.Cut(string(text), ":")
	switch {
	case (method == "none" || method == string(Git)) && !hasRef, method == string(Git) && ref == "repocreds":
		*m = WriteBackMethod(text)
		return nil
	case method == string(Git):
		c, err := ParseCredential(ref)
		if err == nil && c.Kind != Secret {
			err = errors.New("write-back takes secret:<namespace>/<name>")
		}
		if err != nil {
			return fmt.Errorf("write-back-method: %w", err)
		}
		*m = WriteBackMethod(text)
		return nil
	}
	return errors.New("unknown write-back-method: write none, git, git:repocreds or git:secret:<namespace>/<name>")
}

// nearest is ", did you mean …?" when one of the names is close to what was written, or empty.
func nearest(written string, names []string) string {
	best, distance := "", 1+max(1, len(written)/3)
	for _, n := range names {
		if d := levenshtein.ComputeDistance(strings.ToLower(written), n); d < distance {
			best, distance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// A BranchPrefix begins the names of branches of proposals.
type BranchPrefix string

// UnmarshalText checks what git demands of a branch's beginning.
func (p *BranchPrefix) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || strings.HasPrefix(s, "refs/") || strings.ContainsAny(s[:1], "-/.") || strings.Contains(s, "//") || strings.Contains(s, "..") ||
		strings.Contains(s, "@{") || strings.ContainsAny(s, " ~^:?*[\\") || strings.ContainsFunc(s, notPrintable) {
		return fmt.Errorf("%q can't begin the name of a branch: write something like tagpin/", text)
	}
	*p = BranchPrefix(text)
	return nil
}

// A RepositoryName is what a chart repository is called by.
type RepositoryName string

var repositoryName = regexp.MustCompile(`^[A-Za-z0-9][-._A-Za-z0-9]*$`)

// UnmarshalText checks the name.
func (n *RepositoryName) UnmarshalText(text []byte) error {
	if !repositoryName.Match(text) {
		return fmt.Errorf("%q is not the name of a chart repository: write letters, digits, dots and dashes", text)
	}
	*n = RepositoryName(text)
	return nil
}

// A Text is any text in one line.
type Text string

// UnmarshalText takes the text.
func (t *Text) UnmarshalText(text []byte) error {
	if strings.ContainsFunc(string(text), notPrintable) {
		return errors.New("write it in one line")
	}
	*t = Text(text)
	return nil
}
