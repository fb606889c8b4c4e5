package fetch

import (
	"errors"
	"strings"

	"github.com/tagpin/tagpin/config"
)

// A source is a URL that an application may have something fetched from, with what the operator bound for it.
type source struct {
	binding config.Binding
	// identity names the credential in the keys of what is kept: what one credential may see, no other one is shown.
	identity string
}

var errUploaded = errors.New("uploaded files are rendered without asking anybody, and this is not kept here: refresh the application, so " +
	"that it is rendered from Git once, or have the upload bring it")

// source finds the binding. Renders of uploaded files spend no credential: anybody who may look at an application can make one.
func (w want) source(kind config.Kind, url string) (source, error) {
	url, _, _ = strings.Cut(url, "?")
	b, err := w.o.Settings.Source(config.Use{Kind: kind, URL: url, App: who(w.r.For)})
	if err != nil {
		return source{}, err
	}
	if b.Credential == (config.Credential{}) {
		return source{binding: b}, nil
	}
	if w.r.Streamed {
		return source{}, errUploaded
	}
	identity, err := w.identity(b.Credential)
	return source{b, identity}, err
}

// The fields of Argo CD's repository Secrets, and of pull secrets, that make an identity.
func identityFields() []string {
	return []string{"username", "password", "sshPrivateKey", "githubAppID", "githubAppInstallationID", "githubAppPrivateKey"}
}

// identity is a keyed fingerprint of what a credential holds now: a rotated Secret has to prove itself anew.
func (w want) identity(c config.Credential) (string, error) {
	parts := []string{c.String()}
	switch {
	case c.Kind == config.Env:
		l, err := w.o.Secrets.Login(c)
		if err != nil {
			return "", err
		}
		parts = append(parts, l.User, l.Password)
	case c.Kind != config.Secret && c.Kind != config.PullSecret: // a program of the operator's
	case c.Field != "":
		value, err := w.o.Secrets.Read(c.Namespace, c.Name, c.Field)
		if err != nil {
			return "", err
		}
		parts = append(parts, value)
	default:
		for _, field := range identityFields() {
			value, _ := w.o.Secrets.Read(c.Namespace, c.Name, field) // one that is needed and missing is told by who uses it
			parts = append(parts, value)
		}
	}
	return w.store.fingerprint(parts...)
}
