package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/config"
)

// maxConfBytes bounds registries.conf: a ConfigMap holds no more.
const maxConfBytes = 1 << 20

// An Endpoint is one registry: an entry of registries.conf, or what is implied for a host without an entry.
type Endpoint struct {
	Name string
	// API is scheme://host[:port].
	API *url.URL
	// Prefix is host[:port][/path]; it matches whole path segments. Empty for an entry that only serves images without a
	// registry.
	Prefix string
	// Default serves images that name no registry.
	Default bool
	// DefaultNS is put before repository names of one element.
	DefaultNS string
	// Insecure leaves the certificate of API's host unverified, and is what allows plain http.
	Insecure bool
	// Limit is in requests per second.
	Limit int
	// Credentials is nil where the registry is asked anonymously.
	Credentials *config.Credential
	// CredsExpire is how long the answer of an env or ext credential is kept; zero: as long as the process runs.
	CredsExpire time.Duration
	// CAFile is read, and CAData is taken, as PEM certificates that are trusted besides the system's.
	CAFile, CAData string
	// Named is true for an entry of registries.conf: the operator chose this host.
	Named bool
	// ACR is the Enterprise instance behind a host name that doesn't tell it; nil: none is said.
	ACR *ACRRef
}

// An ACRRef names an Enterprise instance of Alibaba Cloud Container Registry: cri-…, and its region.
type ACRRef struct{ ID, Region string }

// A fileEntry is an entry as it is written. The keys are argocd-image-updater's.
type fileEntry struct {
	Name        string `yaml:"name"`
	APIURL      string `yaml:"api_url"`
	Ping        bool   `yaml:"ping"` // no effect: whether GET /v2/ is sent is the protocol's business
	Prefix      string `yaml:"prefix"`
	Credentials string `yaml:"credentials"`
	CredsExpire string `yaml:"credsexpire"`
	DefaultNS   string `yaml:"defaultns"`
	Default     bool   `yaml:"default"`
	Limit       int    `yaml:"limit"`
	TagSortMode string `yaml:"tagsortmode"`
	Insecure    bool   `yaml:"insecure"`
	CAFile      string `yaml:"ca_file"`
	CAData      string `yaml:"ca_data"`
	ACRID       string `yaml:"acr_instance_id"`
	ACRRegion   string `yaml:"acr_region"`
}

func fileKeys() []string {
	return []string{
		"name", "api_url", "ping", "prefix", "credentials", "credsexpire", "defaultns", "default", "limit", "tagsortmode",
		"insecure", "ca_file", "ca_data", "acr_instance_id", "acr_region",
	}
}

// A lineError says where in registries.conf something is wrong.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

func atLine(n *yaml.Node, format string, args ...any) error {
	return &lineError{n.Line, fmt.Errorf(format, args...)}
}

// ParseConf reads a registries.conf. It reports every problem that it finds, each with its line. An empty file is valid and
// names no registry.
func ParseConf(data []byte) ([]Endpoint, error) {
	if len(data) > maxConfBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxConfBytes)
	}
	list, err := entryNodes(data)
	if err != nil {
		return nil, err
	}
	var (
		out  []Endpoint
		errs []error
	)
	for _, n := range list {
		e, err := parseEntry(n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := clash(out, e); err != nil {
			errs = append(errs, atLine(n, "%w", err))
		}
		out = append(out, e)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// entryNodes finds the list under "registries".
func entryNodes(data []byte) ([]*yaml.Node, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, yamlError(err)
	}
	var more yaml.Node
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, atLine(&more, "a second document: write one")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, atLine(root, `expected "registries:" with a list`)
	}
	if err := checkKeys(root, []string{"registries"}); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	switch list := root.Content[1]; {
	case list.Kind == yaml.SequenceNode:
		return list.Content, nil
	case list.Kind == yaml.ScalarNode && list.Tag == "!!null":
		return nil, nil
	default:
		return nil, atLine(list, `"registries" must be a list`)
	}
}

// checkKeys refuses unknown and repeated keys of a mapping, and anything that makes a key differ from what is read.
func checkKeys(n *yaml.Node, known []string) error {
	if n.Kind != yaml.MappingNode {
		return atLine(n, "expected keys and values")
	}
	var seen []string
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode || !slices.Contains(known, k.Value):
			return atLine(k, "unknown key %q: did you mean %q?", k.Value, nearest(k.Value, known))
		case slices.Contains(seen, k.Value):
			return atLine(k, "key %q stands here twice", k.Value)
		}
		seen = append(seen, k.Value)
	}
	return nil
}

func nearest(word string, known []string) string {
	if len(word) > 64 { // the distance costs the product of the lengths
		word = word[:64]
	}
	return slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(word, a) - levenshtein.ComputeDistance(word, b)
	})
}

// yamlError keeps line and kind of a decoding error. The library quotes short values, which are the operator's own words.
func yamlError(err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	msg = strings.TrimPrefix(msg, "unmarshal errors:\n  ")
	return errors.New(msg)
}

func parseEntry(n *yaml.Node) (Endpoint, error) {
	if err := checkKeys(n, fileKeys()); err != nil {
		return Endpoint{}, err
	}
	var f fileEntry
	if err := n.Decode(&f); err != nil {
		return Endpoint{}, yamlError(err)
	}
	e := Endpoint{
		Name: f.Name, Default: f.Default || f.Prefix == "", DefaultNS: f.DefaultNS,
		Insecure: f.Insecure, Limit: f.Limit, CAFile: f.CAFile, CAData: f.CAData, Named: true,
	}
	var errs []error
	check := func(key string, err error) {
		if err != nil {
			errs = append(errs, &lineError{lineOf(n, key), fmt.Errorf("registry %q: %s: %w", f.Name, key, err)})
		}
	}
	var err error
	check("name", required(f.Name))
	e.API, err = parseAPI(f.APIURL, f.Insecure)
	check("api_url", err)
	e.Prefix, err = parsePrefix(f.Prefix)
	check("prefix", err)
	e.Credentials, err = parseCredentials(f.Credentials)
	check("credentials", err)
	e.CredsExpire, err = parseExpiry(f.CredsExpire)
	check("credsexpire", err)
	check("tagsortmode", checkSortMode(f.TagSortMode))
	check("limit", checkLimit(f.Limit))
	check("defaultns", checkNS(f.DefaultNS))
	e.ACR, err = parseACRRef(f, e.API)
	check("acr_instance_id", err)
	if f.CAData != "" {
		_, err = certPool([]byte(f.CAData))
		check("ca_data", err)
	}
	return e, errors.Join(errs...)
}

// lineOf is the line of a key's value, or the entry's own when the key is missing.
func lineOf(n *yaml.Node, key string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line
		}
	}
	return n.Line
}

func required(s string) error {
	if s == "" {
		return errors.New("is missing")
	}
	return nil
}

func parseAPI(s string, insecure bool) (*url.URL, error) {
	if s == "" {
		return nil, errors.New("is missing: write https://<host>")
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("is no URL of the form https://<host>[:<port>]")
	case u.User != nil:
		return nil, errors.New("must hold no user name or password: use credentials")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must end after the host: the registry's API is found at /v2/")
	case u.Scheme == "http" && !insecure:
		return nil, errors.New("plain http needs insecure: true")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("must start with https://")
	case !hostRE.MatchString(u.Host):
		return nil, errors.New("has no valid host")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

var (
	// hostRE is a host name, IPv4 address or bracketed IPv6 address, with an optional port.
	hostRE = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
	// pathRE is the repository grammar of the OCI distribution specification, 1.1.
	pathRE = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	// tagRE is the tag grammar of the same page.
	tagRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

func parsePrefix(s string) (string, error) {
	s = strings.TrimRight(s, "/")
	host, path, hasPath := strings.Cut(s, "/")
	switch {
	case s == "":
		return "", nil
	case strings.Contains(s, "://"):
		return "", errors.New("must start with the host, without https://")
	case !hostRE.MatchString(host):
		return "", errors.New("must be <host>[:<port>][/<path>] as images are written")
	case hasPath && !pathRE.MatchString(path):
		return "", errors.New("has a path that no repository can have")
	}
	s = strings.ToLower(host)
	if hasPath {
		s += "/" + path
	}
	return s, nil
}

func parseCredentials(s string) (*config.Credential, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no credential is a value here
	}
	c, err := config.ParseCredential(s)
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// parseExpiry reads a Go duration. A bare number, which argocd-image-updater takes for nanoseconds, is refused.
func parseExpiry(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("write a duration with its unit, 30m or 5h")
	}
	return d, nil
}

func checkSortMode(s string) error {
	switch strings.ToLower(s) {
	case "", "none":
		return nil
	case "latest-first", "latest-last":
		return errors.New("the order of a tag list says nothing about age (ACR's is alphabetical), so it is not used: " +
			"remove the line; newest-build reads build dates")
	}
	return errors.New("unknown; only none is supported")
}

func checkLimit(n int) error {
	if n < 0 {
		return errors.New("must be positive (requests per second); leave it out for the default")
	}
	return nil
}

func checkNS(s string) error {
	if s != "" && !pathRE.MatchString(s) {
		return errors.New("is no namespace that a repository can have")
	}
	return nil
}

// clash refuses an entry that could not be told from an earlier one.
func clash(earlier []Endpoint, e Endpoint) error {
	for _, o := range earlier {
		switch {
		case e.Prefix != "" && o.Prefix == e.Prefix:
			return fmt.Errorf("registry %q: prefix %q is that of registry %q already", e.Name, e.Prefix, o.Name)
		case e.Default && o.Default:
			return fmt.Errorf("registry %q: registry %q is the default already: "+
				"only one entry may say default: true or have no prefix", e.Name, o.Name)
		}
	}
	return nil
}
