package writeback

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/git"
)

// open makes the repository of a place, with what the Secret holds now: a rotated one counts at the next check.
func (w *Writer) open(p image.Place) (remote, error) {
	credentials, err := w.credentials(p.Credential)
	if err != nil {
		return remote{}, err
	}
	repo, err := w.connect(p.RepoURL, credentials, w.o.CacheDir, w.o.Git)
	return remote{repo, pauseKey{repo: p.RepoURL, credentials: w.fingerprint(credentials)}}, err
}

func (w *Writer) connect(repoURL string, credentials git.Credentials, cacheDir string, options git.Options) (*git.Repository, error) {
	server := git.Remote{URL: repoURL, Credentials: credentials}
	var err error
	if server.CA, err = w.certificate(repoURL); err != nil {
		return nil, err
	}
	if len(credentials.SSHPrivateKey) > 0 {
		if server.KnownHosts, err = os.ReadFile(w.o.KnownHosts); err != nil {
			return nil, fmt.Errorf("the host keys of SSH servers (--ssh-known-hosts): %w: mount Argo CD's argocd-ssh-known-hosts-cm there", err)
		}
	}
	// Plain HTTP only where the operator bound such a URL, which the caller has checked.
	options.AllowHTTP = strings.HasPrefix(repoURL, "http://")
	return git.Open(cacheDir, server, options)
}

// credentials reads a Secret with the fields of Argo CD's repository Secrets.
func (w *Writer) credentials(reference string) (git.Credentials, error) {
	if strings.HasPrefix(reference, loanPrefix) {
		return w.loans.lent(reference)
	}
	ref, err := config.ParseCredential(reference)
	if err != nil {
		return git.Credentials{}, err
	}
	var problem error
	field := func(name string) string {
		value, err := w.o.Secrets.Read(ref.Namespace, ref.Name, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problem = cmp.Or(problem, err)
		}
		return value
	}
	c := git.Credentials{Username: field("username"), Password: field("password")}
	if key := field("sshPrivateKey"); key != "" {
		c = git.Credentials{SSHPrivateKey: []byte(strings.TrimRight(key, "\n") + "\n")}
	}
	if key := field("githubAppPrivateKey"); key != "" {
		app := &git.App{PrivateKey: []byte(key), BaseURL: field("githubAppEnterpriseBaseUrl")}
		app.ID, err = strconv.ParseInt(field("githubAppID"), 10, 64)
		problem = cmp.Or(problem, numberError(ref, "githubAppID", err))
		app.InstallationID, err = strconv.ParseInt(field("githubAppInstallationID"), 10, 64)
		problem = cmp.Or(problem, numberError(ref, "githubAppInstallationID", err))
		c = git.Credentials{GitHubApp: app}
	}
	if problem == nil && c.Password == "" && c.SSHPrivateKey == nil && c.GitHubApp == nil {
		problem = fmt.Errorf("%s holds no username and password, no sshPrivateKey and no githubAppPrivateKey: mount the Secret at %s", ref,
			filepath.Join(w.o.Secrets.Dir, ref.Namespace, ref.Name))
	}
	return c, problem
}

func numberError(ref config.Credential, field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: the field %s is no number", ref, field) // strconv's error would repeat the field
}

// certificate is the CA for a server, from a directory like Argo CD's argocd-tls-certs-cm: one file per host.
func (w *Writer) certificate(repoURL string) ([]byte, error) {
	u, err := url.Parse(repoURL)
	if err != nil || u.Scheme != "https" {
		return nil, nil //nolint:nilerr // a URL for ssh has none; git.Open refuses what is no URL at all
	}
	return config.CA(w.o.CADir, u.Hostname())
}
