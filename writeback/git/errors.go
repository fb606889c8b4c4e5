package git

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"syscall"
)

// A Kind says what went wrong, for decisions; Error.Detail says it for people.
type Kind string

// The kinds of Error.
const (
	BadAddress     Kind = "bad address"
	BadBranch      Kind = "bad branch"
	BadCommit      Kind = "bad commit" // a path, name, message or signature that can't be committed
	Authentication Kind = "authentication"
	NotFound       Kind = "not found"   // no such repository, or none that these credentials may see
	NoBranch       Kind = "no branch"   // the repository has no such branch, or no commit at all
	Gone           Kind = "commit gone" // the server no longer gives out this commit: begin again from the tip
	HostKey        Kind = "host key"
	TLS            Kind = "tls"
	Redirected     Kind = "redirected"
	Timeout        Kind = "timeout"
	Canceled       Kind = "canceled"
	TooBig         Kind = "too big"
	DiskFull       Kind = "disk full"
	Network        Kind = "network"
	Server         Kind = "server"  // 5xx, 429
	Garbage        Kind = "garbage" // no Git server, or broken objects
	ObjectFormat   Kind = "object format"
	Corrupt        Kind = "corrupt" // the cache was damaged, was deleted, and that was not enough
	Program        Kind = "program" // git or a helper of it is missing or did what is not understood
)

// An Error is told in words of our own: it never holds what a server said, a secret, or a URL with user information.
type Error struct {
	Kind   Kind
	Remote string // the address as people may see it; may be empty
	Detail string // what failed and what to change
	cause  error
}

func (e *Error) Error() string {
	if e.Remote == "" {
		return e.Detail
	}
	return e.Remote + ": " + e.Detail
}

// Unwrap gives the context's or the operating system's error where there is one.
func (e *Error) Unwrap() error { return e.cause }

// Retryable says whether the same call may succeed later with nothing changed by a person.
func (e *Error) Retryable() bool {
	switch e.Kind {
	case Gone, Timeout, DiskFull, Network, Server, Corrupt:
		return true
	}
	return false
}

// KindOf is the kind of the first Error in err's chain, or empty.
func KindOf(err error) Kind {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// A symptom maps what git prints (in the C locale) to a kind and our words. The first that matches counts.
type symptom struct {
	text   *regexp.Regexp
	kind   Kind
	detail string
}

const tlsDetail = "the TLS connection could not be trusted: give the server's CA, or correct its certificate; checking is never turned off"

const corruptDetail = "the local cache was damaged and has been deleted: begin again from the branch's tip"

// symptoms is a table made once.
var symptoms = []symptom{
	sign(`No space left on device|Disk quota exceeded|File too large`, DiskFull, "the disk of the Git cache is full: enlarge it or lower its limit"),
	sign(`Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No \S+ host key is known`, HostKey,
		"the SSH host key is not one of the known ones: check it with the server's owner, then add it to argocd-ssh-known-hosts-cm"),
	sign(`returned error: 30\d|redirect`, Redirected, "the server sends to another address, which is refused because credentials would follow: use the final address as the source's repoURL"),
	sign(`returned error: 401|could not read (Username|Password)|Authentication failed`, Authentication,
		"the server refused the credentials: check user and password (or token) in the Secret, and that they have not expired"),
	sign(`returned error: 403`, Authentication, "the credentials are not allowed to do this: give the user write access to the repository, or another user"),
	sign(`Permission denied \(|Load key |invalid format|Too many authentication failures`, Authentication,
		"the server refused the SSH key: add its public half to the repository as a deploy key with write access; a key with a passphrase can't be used"),
	sign(`returned error: 404|repository '.*' not found|[Rr]epository not found|does not appear to be a git repository|project you were looking for could not be found`, NotFound,
		"the server has no such repository, or hides it from these credentials: check repoURL and what the user may read"),
	sign(`returned error: 429`, Server, "the server asks to slow down (429)"),
	sign(`returned error: 5\d\d`, Server, "the server failed (5xx)"),
	sign(`returned error: 4\d\d`, Garbage, "the server refused the request (4xx): this may be no Git address"),
	sign(`SSL|certificate|gnutls|TLS`, TLS, tlsDetail),
	sign(`mismatched algorithms|object[- ]format|does not support algorithm`, ObjectFormat, "the repository uses SHA-256 object names, which are not supported"),
	sign(`not our ref|unadvertised object|couldn't find remote ref|wanted-ref`, Gone, "the commit is no longer on the server"),
	sign(`transport '.*' not allowed`, BadAddress, "the address leads to a way of transport that is refused"),
	sign(`(?i)Could not resolve|Connection (refused|reset|closed|timed out)|Operation timed out|Failed to connect|Couldn't connect|Empty reply|hung up unexpectedly|Network is unreachable|No route to host|Connection to .* closed|kex_exchange|Recv failure|Send failure|transfer closed`,
		Network, "the server could not be reached, or broke the connection off"),
	sign(`loose object .* is corrupt|packed object .* is corrupt|inflate:|not a git repository|bad object|unable to (read|parse|find) (tree|commit|object|[0-9a-f]{40})|could not read [0-9a-f]{40}|missing (blob|tree|commit|object)|index file .* (corrupt|too small)|packfile .* (too short|truncated|does not match|cannot be (accessed|mapped|opened))|non-monotonic index|is not a GIT packfile|bad config|bad tree object|hash mismatch|lazy fetching disabled|object file .* is empty|unresolved delta|not a valid object|Not a valid object|could not fetch .* from promisor|unable to (open|lock|create).*\.git|unable to write .*shallow|bad shallow|Could not read`,
		Corrupt, corruptDetail),
	sign(`fsck|protocol error|bad line length|index-pack|early EOF|pack header|unexpected|invalid|not valid: is this a git repository|expected|RPC failed|malformed`, Garbage,
		"the server's answer is not that of a Git server, or holds broken objects"),
}

// quoted is what git puts between quotes: names that users chose, which may look like any symptom.
var quoted = regexp.MustCompile(`'[^'\n]*'`)

func sign(text string, kind Kind, detail string) symptom {
	return symptom{regexp.MustCompile(text), kind, detail}
}

// diagnose turns what git printed on its standard error into an Error without repeating it.
func diagnose(printed string) *Error {
	// What the server's own hooks and messages say proves nothing.
	var local []string
	for line := range strings.SplitSeq(strings.ReplaceAll(printed, "\r", "\n"), "\n") {
		if !strings.HasPrefix(line, "remote: ") {
			local = append(local, line)
		}
	}
	text := quoted.ReplaceAllString(strings.Join(local, "\n"), "''")
	for _, s := range symptoms {
		if s.text.MatchString(text) {
			return &Error{Kind: s.kind, Detail: s.detail}
		}
	}
	return &Error{Kind: Program, Detail: "git stopped for a reason that is not known to tagpin"}
}

// osError describes an error of a context or the operating system.
func osError(err error) *Error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Kind: Timeout, Detail: "the time for talking to the server ran out", cause: err}
	case errors.Is(err, context.Canceled):
		return &Error{Kind: Canceled, Detail: "stopped", cause: err}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Error{Kind: DiskFull, Detail: "the disk of the Git cache is full: enlarge it or lower its limit", cause: err}
	}
	return &Error{Kind: Program, Detail: err.Error(), cause: err}
}

func cacheError(a address, err error) error {
	e := osError(err)
	e.Remote, e.Detail = a.shown, "preparing the Git cache: "+e.Detail
	return e
}
