package git

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Signer signs commits with a key that it holds in a directory of its own until Close.
type Signer struct {
	format, key, dir string
}

// The formats of signatures.
const (
	SignSSH     = "ssh"
	SignOpenPGP = "openpgp"
)

// OpenSigner takes a private key without passphrase: an SSH key, or an OpenPGP key as exported by gpg --export-secret-keys.
func OpenSigner(ctx context.Context, format string, key []byte) (*Signer, error) {
	dir, err := os.MkdirTemp("", "tagpin-sign-") // gpg's sockets need a short path
	if err != nil {
		return nil, osError(err)
	}
	s := &Signer{format: format, dir: dir}
	switch format {
	case SignSSH:
		s.key = filepath.Join(dir, "key")
		err = os.WriteFile(s.key, append(bytes.TrimSpace(key), '\n'), 0o600)
	case SignOpenPGP:
		err = s.importKey(ctx, key)
	default:
		err = &Error{Kind: BadCommit, Detail: "commits are signed with ssh or openpgp, nothing else"}
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// importKey fills a keyring with the key alone and finds its fingerprint.
func (s *Signer) importKey(ctx context.Context, key []byte) error {
	if _, err := exec.LookPath("gpg"); err != nil {
		return &Error{Kind: Program, Detail: "signing with openpgp needs the gpg program, which is not installed"}
	}
	if _, err := s.gpg(ctx, key, "--import"); err != nil {
		return err
	}
	listed, err := s.gpg(ctx, nil, "--with-colons", "--list-secret-keys")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(listed)) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && len(fields) > 9 {
			s.key = fields[9]
			return nil
		}
	}
	return &Error{Kind: BadCommit, Detail: "the signing key is no OpenPGP private key"}
}

func (s *Signer) gpg(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "gpg", append([]string{"--batch", "--no-tty", "--quiet", "--pinentry-mode", "error"}, args...)...) //nolint:gosec // fixed arguments
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "HOME=" + s.dir}, s.environment()...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		return nil, &Error{Kind: BadCommit, Detail: "the signing key can't be used: it must be an OpenPGP private key without passphrase"}
	}
	return out, nil
}

// environment is what git's call of the signing program needs.
func (s *Signer) environment() []string {
	if s.format == SignOpenPGP {
		return []string{"GNUPGHOME=" + s.dir}
	}
	return nil
}

// settings are arguments of git; they hold paths and fingerprints, no secret.
func (s *Signer) settings() []string {
	return []string{"-c", "gpg.format=" + s.format, "-c", "user.signingKey=" + s.key}
}

// Close deletes the key.
func (s *Signer) Close() error {
	if s.format == SignOpenPGP {
		cmd := exec.Command("gpgconf", "--kill", "gpg-agent")
		cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, s.environment()...)
		_ = cmd.Run() // an agent that lives on ends by itself when its directory is gone
	}
	return os.RemoveAll(s.dir)
}
