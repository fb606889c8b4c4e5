package render

import (
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// A gitSpec is how kustomize names a directory of a remote Git repository.
type gitSpec struct {
	repository string // what git is given
	dir        string // the kustomization in it
	ref        string // a branch, a tag or a commit; empty: the server's HEAD
	// marked is true when the entry says where the repository's path ends: then it can't be a file.
	marked bool
}

var (
	errNoGit = errors.New("it names no Git repository")
	errLogin = errors.New("it has a login in its URL: leave it out, and have an operator bind a credential")
)

// gitLogin is what kustomize takes for a login before the host.
var gitLogin = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// parseGitSpec reads an entry of resources or components by kustomize's rules (api/internal/git/repospec.go), but for file://.
func parseGitSpec(entry string) (gitSpec, error) {
	rest, query, _ := strings.Cut(entry, "?")
	if i := len("git::"); len(rest) > i && strings.EqualFold(rest[:i], "git::") {
		rest = rest[i:]
	}
	scheme := ""
	for _, s := range []string{"ssh://", "https://", "http://"} {
		if len(rest) >= len(s) && strings.EqualFold(rest[:len(s)], s) {
			scheme, rest = s, rest[len(s):]
		}
	}
	login := gitLogin.FindString(rest)
	rest = rest[len(login):]
	host, rest, err := splitHost(scheme, login, rest)
	if err != nil {
		return gitSpec{}, err
	}
	spec := gitSpec{ref: refOf(query)}
	repository, dir, err := spec.splitPath(rest)
	if err != nil {
		return gitSpec{}, err
	}
	spec.repository, spec.dir = host+repository, path.Join(".", strings.TrimPrefix(dir, "/"))
	if spec.dir == ".." || strings.HasPrefix(spec.dir, "../") {
		return gitSpec{}, errOutside
	}
	return spec, nil
}

// splitHost gives everything up to the path. GitHub can be written in ways that other hosts can't.
func splitHost(scheme, login, rest string) (host, path string, err error) {
	lower := strings.ToLower(rest)
	github := strings.HasPrefix(lower, "github.com/") || strings.HasPrefix(lower, "github.com:")
	short := scheme == "" && (login != "" || github) // user@host:path
	if scheme == "" && !short {
		return "", "", errNoGit
	}
	end := strings.Index(rest, "/")
	if colon := strings.Index(rest, ":"); short && colon > 0 && (end < 0 || colon < end) {
		end = colon
	}
	if end < 0 {
		return "", "", errNoGit
	}
	host, path = rest[:end+1], rest[end+1:]
	switch {
	case strings.Contains(host, "@"), login != "" && strings.HasPrefix(scheme, "http") && !github:
		return "", "", errLogin
	case github:
		return gitHub(scheme, login), path, nil
	}
	return scheme + login + host, path, nil
}

// gitHub is reached by https, and by SSH if there is a login.
func gitHub(scheme, login string) string {
	switch {
	case login != "":
		return login + "github.com:"
	case scheme == "ssh://":
		return "git@github.com:" // kustomize leaves the login to ssh's own settings
	}
	return "https://github.com/"
}

// splitPath finds where the repository's path ends: at a marker, or after two segments.
func (s *gitSpec) splitPath(all string) (repository, dir string, err error) {
	repository, dir, s.marked = marked(all)
	if segments := strings.SplitN(all, "/", 3); !s.marked && len(segments) >= 2 {
		repository, dir = segments[0]+"/"+segments[1], strings.Join(segments[2:], "/")
	}
	if repository == "" {
		return "", "", errNoGit
	}
	return repository, dir, nil
}

// marked finds the first of kustomize's markers: _git/ before the last part of the repository's path, // or .git after it.
func marked(all string) (repository, dir string, ok bool) {
	if before, after, ok := strings.Cut(all, "_git/"); ok {
		name, below, _ := strings.Cut(after, "/")
		return before + "_git/" + name, below, true
	}
	if before, after, ok := strings.Cut(all, "//"); ok {
		return before, after, true
	}
	if before, after, ok := strings.Cut(all, ".git"); ok {
		return before + ".git", after, true
	}
	return "", "", false
}

func refOf(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	if ref := values.Get("ref"); ref != "" {
		return ref
	}
	return values.Get("version")
}

// isHTTP is kustomize's test for a file on a server.
func isHTTP(entry string) bool {
	u, err := url.Parse(entry)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}
