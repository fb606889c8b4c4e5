package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A URL is a URL in the form in which two can be compared: scheme, user, host, port and path segments, each canonical.
type URL struct {
	scheme, user, host string
	port               int
	segments           []string
}

const maxURL = 2048

// scpLike is Git's short form of an SSH URL: user@host:path.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9._-]+)@([^/:@\[\]]+):([^:]+)$`)

// defaultPort is 0 for a scheme that isn't accepted.
func defaultPort(scheme string) int {
	switch scheme {
	case "https":
		return 443
	case "http":
		return 80
	case "ssh":
		return 22
	}
	return 0
}

// ParseURL parses what a binding or a use of a credential names. It accepts https, http, ssh and oci (which is https), a
// bare host with a path (https), and Git's user@host:path (ssh). It refuses whatever two programs could read in two ways:
// user information except SSH's user name, a query or fragment, empty, "." and ".." segments, backslashes, and encoded
// slashes, dots-only segments or percent signs. An error never repeats the URL, which may hold a password.
func ParseURL(s string) (URL, error) {
	if err := checkURLText(s); err != nil {
		return URL{}, err
	}
	if m := scpLike.FindStringSubmatch(s); m != nil && !strings.Contains(s, "://") {
		s = "ssh://" + m[1] + "@" + m[2] + "/" + strings.TrimPrefix(m[3], "/")
	}
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	parsed, err := url.Parse(s)
	if err != nil {
		return URL{}, errors.New("not a URL: write scheme://host/path, and no encoding that isn't needed") // err repeats s
	}
	u := URL{scheme: strings.ToLower(parsed.Scheme)}
	if u.scheme == "oci" {
		u.scheme = "https"
	}
	if err := u.setAuthority(parsed); err != nil {
		return URL{}, err
	}
	if err := u.setPath(parsed); err != nil {
		return URL{}, err
	}
	if len(u.String()) > maxURL {
		return URL{}, fmt.Errorf("the URL is longer than %d characters when encoded", maxURL)
	}
	return u, nil
}

func checkURLText(s string) error {
	ambiguous := func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }
	switch {
	case s == "" || len(s) > maxURL || !utf8.ValidString(s) || strings.ContainsFunc(s, ambiguous):
		return fmt.Errorf("not a URL: write 1 to %d characters without spaces and backslashes", maxURL)
	case strings.ContainsAny(s, "?#"):
		return errors.New("the URL has a query or a fragment: leave it out")
	}
	return nil
}

// lowerHost is the form in which host names are compared. Only ASCII letters change: Unicode's rules would make the Kelvin
// sign a k, and so another host the same. A name that is not ASCII is left as it is.
func lowerHost(host string) string {
	lower := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, host)
	return strings.TrimSuffix(lower, ".")
}

func (u *URL) setAuthority(parsed *url.URL) error {
	if parsed.User != nil {
		_, password := parsed.User.Password()
		u.user = parsed.User.Username()
		if u.scheme != "ssh" || password || u.user == "" || strings.ContainsAny(u.user, "/:@%") {
			return errors.New("the URL holds user information: leave it out, credentials come from the reference")
		}
	}
	if u.port = defaultPort(u.scheme); u.port == 0 {
		return errors.New("the URL's scheme is none of https, http, ssh and oci")
	}
	u.host = lowerHost(parsed.Hostname())
	if u.host == "" || !utf8.ValidString(parsed.Host) || strings.Contains("."+u.host+".", "..") || strings.ContainsAny(u.host, "%@,;!$&'()*+=~\"<>") {
		return errors.New("the URL has no valid host name")
	}
	if p := parsed.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return errors.New("the URL's port is not a number from 1 to 65535")
		}
		u.port = int(n)
	}
	return nil
}

func (u *URL) setPath(parsed *url.URL) error {
	p := strings.Trim(parsed.EscapedPath(), "/")
	if strings.HasPrefix(parsed.EscapedPath(), "//") || strings.HasSuffix(parsed.EscapedPath(), "//") {
		return errors.New("the URL's path has an empty segment")
	}
	if p == "" {
		return nil
	}
	for _, segment := range strings.Split(p, "/") {
		plain, err := url.PathUnescape(segment)
		switch {
		case err != nil || !utf8.ValidString(plain) || strings.ContainsAny(plain, `/\%;`) || strings.ContainsFunc(plain, notPrintable):
			return errors.New("the URL's path has an encoded slash, a backslash, percent sign, semicolon or control character")
		case plain == "" || plain == "." || plain == "..":
			return errors.New(`the URL's path has an empty, "." or ".." segment`)
		case strings.Contains(strings.ToLower(segment), "%2e"):
			return errors.New("the URL's path has an encoded dot: write it plainly")
		}
		u.segments = append(u.segments, plain)
	}
	return nil
}

// IsZero says that nothing was parsed.
func (u URL) IsZero() bool { return u.host == "" }

// Host is the host name in lower case, without port and trailing dot.
func (u URL) Host() string { return u.host }

// String is the canonical form. It parses to the same URL.
func (u URL) String() string {
	if u.IsZero() {
		return ""
	}
	host := u.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.port != defaultPort(u.scheme) {
		host += ":" + strconv.Itoa(u.port)
	}
	if u.user != "" {
		host = u.user + "@" + host
	}
	p := url.URL{Path: strings.Join(u.segments, "/")}
	if p.Path != "" {
		p.Path = "/" + p.Path
	}
	return u.scheme + "://" + host + p.EscapedPath()
}

// UnmarshalText is ParseURL.
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := ParseURL(string(text))
	if err == nil {
		*u = parsed
	}
	return err
}

// MarshalText is String.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// covers says whether other is u or lies below it. A Git repository's last segment may carry .git or not.
func (u URL) covers(other URL, kind Kind) bool {
	if u.scheme != other.scheme || u.user != other.user || u.host != other.host || u.port != other.port {
		return false
	}
	if len(u.segments) > len(other.segments) {
		return false
	}
	for i, want := range u.segments {
		got := other.segments[i]
		if (kind == Git || kind == Base) && i == len(other.segments)-1 {
			want, got = strings.TrimSuffix(want, ".git"), strings.TrimSuffix(got, ".git")
		}
		if want != got {
			return false
		}
	}
	return true
}
