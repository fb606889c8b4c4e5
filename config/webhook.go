package config

import (
	"errors"
	"regexp"
	"strings"
)

// A Webhook lets who knows a secret tell that one of some repositories was pushed to.
type Webhook struct {
	// Secret is secret:<namespace>/<name>#<field>. PreviousSecret counts, too, while a secret is replaced; it may be empty, and
	// so may what it refers to.
	Secret         Credential `yaml:"secret"`
	PreviousSecret Credential `yaml:"previous-secret"`
	// Repositories are what this secret may speak for. It can't be empty.
	Repositories []RepositoryPrefix `yaml:"repositories"`
}

// A RepositoryPrefix is host[:port], for all of its repositories, or that and the beginning of a repository's name in whole
// path segments.
type RepositoryPrefix struct{ Host, Path string }

var repositoryPrefix = regexp.MustCompile(`^([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?)((?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)$`)

// UnmarshalText takes registry.example.com/team, or a host alone.
func (p *RepositoryPrefix) UnmarshalText(text []byte) error {
	m := repositoryPrefix.FindStringSubmatch(string(text))
	if m == nil {
		return errors.New("write a registry's host in lower case, with or without the beginning of a repository's name: " +
			"registry.example.com/team")
	}
	*p = RepositoryPrefix{m[1], strings.TrimPrefix(m[2], "/")}
	return nil
}

func (w Webhook) check() error {
	for _, c := range []Credential{w.Secret, w.PreviousSecret} {
		if c != (Credential{}) && (c.Kind != Secret || c.Field == "") {
			return errors.New("secret and previous-secret are of the form secret:<namespace>/<name>#<field>")
		}
	}
	switch {
	case w.Secret == Credential{}:
		return errors.New("this webhook lacks secret: write secret:<namespace>/<name>#<field>")
	case len(w.Repositories) == 0:
		return errors.New("this webhook lacks repositories: write what its secret may speak for; a registry's host stands for all of its repositories")
	}
	return nil
}
