package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Login is a user name and a password.
type Login struct{ User, Password string }

// ParseLogin reads user:password, in one line. The user name ends at the first colon. An error names ref and nothing of text.
func ParseLogin(ref Credential, text string) (Login, error) {
	user, password, ok := strings.Cut(strings.TrimRight(text, "\r\n"), ":")
	if !ok || user == "" || password == "" || strings.ContainsAny(user+password, "\r\n") {
		return Login{}, fmt.Errorf("%s: must hold one line of the form user:password", ref)
	}
	return Login{user, password}, nil
}

// Login reads the login of an HTTP server: the fields username and password of a Secret, as in Argo CD's repository Secrets, or
// user:password in one of its fields or in an environment variable.
func (s Secrets) Login(c Credential) (Login, error) {
	switch {
	case c.Kind == Env:
		return ParseLogin(c, os.Getenv(c.Var))
	case c.Kind != Secret:
		return Login{}, fmt.Errorf("%s can't be used here: bind secret:<namespace>/<name> or env:<VARIABLE>", c)
	case c.Field != "":
		text, err := s.Read(c.Namespace, c.Name, c.Field)
		if err != nil {
			return Login{}, err
		}
		return ParseLogin(c, text)
	}
	user, err := s.Read(c.Namespace, c.Name, "username")
	password, errPassword := s.Read(c.Namespace, c.Name, "password")
	for _, err := range []error{err, errPassword} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Login{}, err
		}
	}
	if user == "" || password == "" {
		return Login{}, fmt.Errorf("%s holds no username and password: mount the Secret at %s", c, filepath.Join(s.Dir, c.Namespace, c.Name))
	}
	return Login{user, password}, nil
}
