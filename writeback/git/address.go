package git

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// An address is a remote's URL, parsed and without secrets.
type address struct {
	scheme string
	// given is what git gets: no password, and a user only for SSH.
	given string
	// shown is what people see.
	shown string
	// user is the one the URL named, for HTTPS.
	user string
}

// scpLike is git's short form of an SSH address, user@host:path.
var scpLike = regexp.MustCompile(`^([A-Za-z0-9._-]+)@([A-Za-z0-9.-]+):([^:].*)$`)

func parseAddress(raw string, o Options) (address, error) {
	refuse := func(why string) (address, error) {
		return address{}, &Error{Kind: BadAddress, Detail: why}
	}
	for _, c := range raw {
		if c <= ' ' || c == 0x7f {
			return refuse("the repository's address holds a control character or a space")
		}
	}
	if m := scpLike.FindStringSubmatch(raw); m != nil && !strings.Contains(raw, "://") {
		if strings.HasPrefix(m[2], "-") || strings.HasPrefix(m[3], "-") || strings.HasPrefix(m[1], "-") {
			return refuse("the repository's address begins a part with a dash")
		}
		return address{scheme: "ssh", given: raw, shown: m[2] + ":" + m[3]}, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return refuse("the repository's address is no URL") // err may quote a password
	}
	if _, secret := u.User.Password(); secret {
		return refuse("the repository's address holds a password: put user and password in the Secret that write-back-method names")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return refuse("the repository's address has a query, a fragment or no //")
	}
	return schemeOf(u, o)
}

func schemeOf(u *url.URL, o Options) (address, error) {
	a := address{scheme: u.Scheme}
	user := u.User.Username()
	bare := *u
	bare.User = nil
	a.shown, a.given = bare.String(), bare.String()
	switch {
	case u.Scheme == "file" && o.AllowFile && u.Host == "":
		return a, nil
	case u.Scheme == "https", u.Scheme == "http" && o.AllowHTTP:
		a.user = user
	case u.Scheme == "ssh":
		a.given = u.String()
	case u.Scheme == "http":
		return a, &Error{Kind: BadAddress, Remote: a.shown, Detail: "plain http is refused: use https, or allow it in the operator's binding"}
	default:
		return a, &Error{Kind: BadAddress, Detail: fmt.Sprintf("repositories are reached by https or ssh, not by %q", u.Scheme)}
	}
	if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(user, "-") || strings.HasPrefix(strings.TrimPrefix(u.Path, "/"), "-") {
		return a, &Error{Kind: BadAddress, Detail: "the repository's address lacks a host or begins a part with a dash"}
	}
	return a, nil
}

// check says whether the credentials fit the address.
func (a address) check(r Remote) error {
	c := r.Credentials
	detail := ""
	switch {
	case a.scheme == "ssh" && len(c.SSHPrivateKey) == 0:
		detail = "an SSH address needs sshPrivateKey in the Secret"
	case a.scheme == "ssh" && len(strings.TrimSpace(string(r.KnownHosts))) == 0:
		detail = "no SSH host keys are known: mount Argo CD's ConfigMap argocd-ssh-known-hosts-cm"
	case a.scheme != "ssh" && len(c.SSHPrivateKey) > 0:
		detail = "an SSH key is of no use for this address: use the ssh:// or git@ form"
	case c.GitHubApp != nil && a.scheme != "https" && a.scheme != "http":
		detail = "a GitHub App needs an https address"
	case strings.ContainsAny(c.Username+c.Password, "\r\n\x00") || strings.Contains(c.Username, ":"):
		detail = "user or password holds a character that HTTP basic auth can't carry"
	default:
		return nil
	}
	return &Error{Kind: BadAddress, Remote: a.shown, Detail: detail}
}

// CheckBranch says why a name can't be a branch, in git's rules (git check-ref-format) and some of our own: at most 255 bytes,
// no leading dash, not HEAD, nothing that looks like a full reference.
func CheckBranch(name string) error {
	bad := func(why string) error {
		return &Error{Kind: BadBranch, Detail: fmt.Sprintf("%q is no branch name: %s", name, why)}
	}
	switch {
	case name == "" || len(name) > 255:
		return bad("it must have 1 to 255 bytes")
	case strings.HasPrefix(name, "-"), name == "HEAD", name == "@", strings.HasPrefix(name, "refs/"):
		return bad("it begins with a dash or refs/, or is a name that git keeps for itself")
	case strings.ContainsAny(name, " ~^:?*[\\") || strings.Contains(name, "..") || strings.Contains(name, "@{"):
		return bad("it holds a character or a sequence that git refuses")
	case strings.HasSuffix(name, "."):
		return bad("it ends with a dot")
	case strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' }):
		return bad("it holds a control character or is not UTF-8")
	}
	if badPart(name) {
		return bad("one of its parts is empty, begins with a dot or ends with .lock")
	}
	return nil
}

func badPart(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return true
		}
	}
	return false
}
