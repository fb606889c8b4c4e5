package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A Source is where a credential comes from: the word before the colon of a reference.
type Source string

// The sources of argocd-image-updater.
const (
	Secret     Source = "secret"
	PullSecret Source = "pullsecret"
	Env        Source = "env"
	Ext        Source = "ext"
	// RepoCreds are Argo CD's own credentials for the application's repository; the whole reference is this word.
	RepoCreds Source = "repocreds"
)

// PullSecretField is the field of a Secret of type kubernetes.io/dockerconfigjson.
const PullSecretField = ".dockerconfigjson" //nolint:gosec // a name

// A Credential is a parsed reference to a credential. It holds no secret.
type Credential struct {
	Kind Source
	// Namespace, Name and Field name the Secret, for Secret and PullSecret. Field may be empty for Secret: a binding then
	// covers every field. It is PullSecretField for PullSecret.
	Namespace, Name, Field string
	// Var is the environment variable, for Env.
	Var string
	// Path is the absolute path of the program, for Ext.
	Path string
}

var (
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	secretKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

const credentialForms = "write secret:<namespace>/<name>#<field>, pullsecret:<namespace>/<name>, env:<VARIABLE> or ext:</path>"

// ParseCredential parses secret:<ns>/<name>[#<field>], pullsecret:<ns>/<name>, env:<VAR> or ext:<absolute path>; the source
// in any case, and exactly one colon (argocd-image-updater's grammar). Names must be what Kubernetes allows: a namespace
// is a DNS-1123 label, a Secret's name a subdomain. An error never repeats what doesn't look like a reference, since it may
// be a password in the wrong place.
//
// Whether env: and ext: are allowed where the reference stands is the caller's to check: see Credential.OperatorOnly.
func ParseCredential(s string) (Credential, error) {
	kind, def, _ := strings.Cut(s, ":")
	c := Credential{Kind: Source(strings.ToLower(kind))}
	switch {
	case !slices.Contains([]Source{Secret, PullSecret, Env, Ext}, c.Kind) || !strings.Contains(s, ":"):
		return Credential{}, errors.New("unknown credential source: " + credentialForms)
	case strings.Contains(def, ":"):
		return Credential{}, fmt.Errorf("credential reference with a second colon after %s: %s", kind, credentialForms)
	}
	switch c.Kind {
	case Env:
		c.Var = def
		if !envName.MatchString(def) {
			return Credential{}, fmt.Errorf("env: takes the name of an environment variable, not %q", def)
		}
		return c, nil
	case Ext:
		c.Path = def
		if !path.IsAbs(def) || path.Clean(def) != def || strings.ContainsFunc(def, notPrintable) {
			return Credential{}, fmt.Errorf("ext: takes the absolute path of a program, not %q", def)
		}
		return c, nil
	}
	return c.secretParts(def)
}

func (c Credential) secretParts(def string) (Credential, error) {
	ns, rest, _ := strings.Cut(def, "/")
	name, field, hasField := strings.Cut(rest, "#")
	if c.Kind == PullSecret {
		if hasField {
			return Credential{}, fmt.Errorf("pullsecret:%s: a pull secret has no field: leave out what follows #", clip(def))
		}
		field, hasField = PullSecretField, true
	}
	if hasField && field == "" {
		return Credential{}, fmt.Errorf("%s:%s: the field after # is empty", c.Kind, clip(def))
	}
	if err := checkSecretName(ns, name, field); err != nil {
		return Credential{}, fmt.Errorf("%s:%s: %w: write %[1]s:<namespace>/<name>", c.Kind, clip(def), err)
	}
	c.Namespace, c.Name, c.Field = ns, name, field
	return c, nil
}

// checkSecretName holds the three to what Kubernetes allows, which also keeps them from being paths. Field may be empty.
func checkSecretName(ns, name, field string) error {
	switch {
	case !dnsLabel.MatchString(ns):
		return fmt.Errorf("%q is not the name of a namespace", clip(ns))
	case len(name) > 253 || !dnsName.MatchString(name):
		return fmt.Errorf("%q is not the name of a Secret", clip(name))
	case field != "" && (!secretKey.MatchString(field) || field == "." || strings.HasPrefix(field, "..")):
		return fmt.Errorf("%q is not a field of a Secret", clip(field))
	}
	return nil
}

// ParseRegistryCredential parses [<registry>=]<reference>. The registry is empty when none is written.
func ParseRegistryCredential(s string) (registry string, c Credential, err error) {
	if before, after, ok := strings.Cut(s, "="); ok && before != "" {
		if c, err = ParseCredential(after); err == nil {
			return before, c, nil
		}
		if whole, wholeErr := ParseCredential(s); wholeErr == nil { // ext:/a=b
			return "", whole, nil
		}
		return "", Credential{}, err
	}
	c, err = ParseCredential(s)
	return "", c, err
}

// OperatorOnly says that the reference may stand in operator files, and not in an application's parameters.
func (c Credential) OperatorOnly() bool { return c.Kind == Env || c.Kind == Ext }

// String is the reference in its canonical form.
func (c Credential) String() string {
	switch {
	case c.Kind == RepoCreds:
		return string(RepoCreds)
	case c.Kind == Env:
		return "env:" + c.Var
	case c.Kind == Ext:
		return "ext:" + c.Path
	case c.Kind == Secret && c.Field != "":
		return fmt.Sprintf("secret:%s/%s#%s", c.Namespace, c.Name, c.Field)
	}
	return fmt.Sprintf("%s:%s/%s", c.Kind, c.Namespace, c.Name)
}

// parseBindable is ParseCredential, and takes RepoCreds, which are lent and can be named in bindings alone.
func parseBindable(s string) (Credential, error) {
	if s == string(RepoCreds) {
		return Credential{Kind: RepoCreds}, nil
	}
	return ParseCredential(s)
}

// UnmarshalText reads the credential of a binding.
func (c *Credential) UnmarshalText(text []byte) error {
	parsed, err := parseBindable(string(text))
	if err == nil {
		*c = parsed
	}
	return err
}

// MarshalText is String.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// covers says whether a binding of c is one of used, too.
func (c Credential) covers(used Credential) bool {
	if c.Kind == Secret && c.Field == "" {
		used.Field = ""
	}
	return c == used
}

// clip shortens what is repeated in an error.
func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

func notPrintable(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' }
