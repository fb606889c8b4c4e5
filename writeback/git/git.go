// Package git reads and writes a few files of a remote repository without a clone: Open gives a Repository, Tip asks where a
// branch points, Read gets files of a commit, Commit makes commits on top of one another, Push sends them in one go, and Log
// reads commit messages.
//
// Callers that keep the tip from one call to the next save two requests: Push says when it moved, and where it is now.
//
// It drives the git program's plumbing on a bare cache that has no work tree and, where the server can filter, no file but
// those that were read. An update of a branch that nobody moved costs two requests: the push itself finds out whether the
// branch still is where it was, so nothing is asked before. Everything in the cache can be deleted at any time.
package git

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A Remote is a repository on a server, with what is needed to talk to it.
type Remote struct {
	// URL is https://…, ssh://… or git@host:path. It may name a user, never a password.
	URL         string
	Credentials Credentials
	// CA holds PEM certificates that replace the system's for this server; empty means the system's.
	CA []byte
	// KnownHosts holds the host keys that an SSH server may have, in the format of ssh's known_hosts file.
	KnownHosts []byte
	// Proxy is an HTTP proxy's URL; empty means none, whatever the environment says.
	Proxy string
}

// Credentials are one of: a user and a password (or token), an SSH key, a GitHub App.
type Credentials struct {
	Username, Password string
	// SSHPrivateKey is a private key without passphrase, in PEM or OpenSSH's format.
	SSHPrivateKey []byte
	GitHubApp     *App
}

// Options bound what a Repository may do. The zero value takes the defaults.
type Options struct {
	// AllowHTTP permits http:// and AllowFile file:// addresses.
	AllowHTTP, AllowFile bool
	// Timeout ends one call, all its requests together.
	Timeout time.Duration
	// MaxBytes is how much one call may add to the cache.
	MaxBytes int64
	// MaxCacheBytes is how big all repositories below the cache directory may be together. The least recently used go first.
	MaxCacheBytes int64
	// Transport is how GitHub's API is reached; nil takes net/http's own with the remote's CA.
	Transport http.RoundTripper
	// Tokens are shared by Repositories; nil where each has its own.
	Tokens *Tokens
	// OnExit is told of every git process that ended: its first argument and its state. It may be nil.
	OnExit func(command string, state *os.ProcessState)
}

// Defaults of Options.
const (
	// DefaultTimeout is long enough for the first fetch of a large repository over a slow line.
	DefaultTimeout = 2 * time.Minute
	// DefaultMaxBytes is room for the trees of several million files, and for a shallow fetch from a server without filters.
	DefaultMaxBytes = 512 << 20
	// DefaultMaxCacheBytes is half of what a small node gives to a pod.
	DefaultMaxCacheBytes = 2 << 30
)

// A Repository is a Remote with its cache. It may be used by several goroutines and, with the same cache directory, by several
// processes: calls that touch the same repository wait for one another.
type Repository struct {
	remote  Remote
	address address
	options Options
	root    string // the cache directory of all repositories
	dir     string // that of this one
	program string
	token   *appToken
}

// Open prepares a repository; nothing is asked over the network. cacheDir is shared by all repositories. The same URL with
// other credentials has another cache, so that nobody reads what only others may.
func Open(cacheDir string, r Remote, o Options) (*Repository, error) {
	o = o.withDefaults()
	a, err := parseAddress(r.URL, o)
	if err != nil {
		return nil, err
	}
	if err := a.check(r); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, &Error{Kind: Program, Remote: a.shown, Detail: "the git program is not installed"}
	}
	if cacheDir, err = filepath.Abs(cacheDir); err != nil {
		return nil, err
	}
	name, err := cacheName(cacheDir, a, r.Credentials)
	if err != nil {
		return nil, cacheError(a, err)
	}
	repository := &Repository{remote: r, address: a, options: o, root: cacheDir, dir: filepath.Join(cacheDir, name), program: program}
	if r.Credentials.GitHubApp != nil {
		if repository.token, err = o.Tokens.of(*r.Credentials.GitHubApp, r, o); err != nil {
			return nil, err
		}
	}
	return repository, nil
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxCacheBytes <= 0 {
		o.MaxCacheBytes = DefaultMaxCacheBytes
	}
	return o
}

// String is the address without user information.
func (r *Repository) String() string { return r.address.shown }

// do runs work on the locked cache. A damaged cache is deleted and work begins again, once.
func (r *Repository) do(ctx context.Context, work func(context.Context, *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	err := r.locked(ctx, work)
	if KindOf(err) != Corrupt {
		return err
	}
	if err := r.wipe(ctx); err != nil {
		return err
	}
	return r.locked(ctx, work)
}

func (r *Repository) locked(ctx context.Context, work func(context.Context, *session) error) error {
	lock, err := lockFile(ctx, r.dir+".lock")
	if err != nil {
		return r.wrap(err, "waiting for the cache")
	}
	defer lock.Close()
	s, err := r.open(ctx, lock)
	if err != nil {
		return r.wrap(err, "preparing the cache")
	}
	defer s.close()
	return work(ctx, s)
}

// wrap makes an error of the operating system or of a context an Error; an Error stays as it is.
func (r *Repository) wrap(err error, doing string) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	e := osError(err)
	e.Remote, e.Detail = r.address.shown, doing+": "+e.Detail
	return e
}
