package image

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// The values in this file may hold, by mistake, a password. Where one could stand, errors don't repeat the value.

func nonEmpty(s string) error {
	if s == "" {
		return errors.New("empty: remove it, or give it a value")
	}
	return nil
}

const (
	repoCreds   = "git:repocreds" //nolint:gosec // the name of a method
	methodNone  = "none"
	methodsHint = `"none", "git" (with Argo CD's credentials for the repository) or "git:secret:<namespace>/<name>"`
)

// parseMethod reads a write-back-method; "git" is short for "git:repocreds".
func parseMethod(s string) (string, error) {
	kind, reference, found := strings.Cut(s, ":")
	switch {
	case s == methodNone || s == repoCreds:
		return s, nil
	case s == "git":
		return repoCreds, nil
	case s == "argocd":
		return "", errors.New(`"argocd" is not offered, since only Git says what runs: write ` + methodsHint)
	case kind != "git" || !found:
		return "", fmt.Errorf("unknown method: write %s", methodsHint)
	}
	secret, found := strings.CutPrefix(reference, "secret:")
	if !found {
		return "", errors.New(`after "git:" comes "repocreds" or "secret:<namespace>/<name>"`)
	}
	if err := validSecretName(secret); err != nil {
		return "", fmt.Errorf("git:secret: %w", err)
	}
	return s, nil
}

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	secretField  = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$|^\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,251}$`)
)

// validSecretName checks <namespace>/<name> against the names of Kubernetes (RFC 1123 label and subdomain).
func validSecretName(s string) error {
	namespace, name, found := strings.Cut(s, "/")
	if !found {
		return errors.New("the secret's namespace is missing: write <namespace>/<name>")
	}
	if !dnsLabel.MatchString(namespace) || !dnsSubdomain.MatchString(name) || len(name) > 253 {
		return errors.New("what is given is no <namespace>/<name>: lower-case letters, digits and '-', in the name also '.'")
	}
	return nil
}

// validPullSecret admits the references to Secrets; env: and ext: name things of the sidecar, which an application must not.
func validPullSecret(s string) error {
	kind, rest, found := strings.Cut(s, ":")
	switch kind = strings.ToLower(kind); {
	case found && kind == "pullsecret":
		return validSecretName(rest)
	case found && kind == "secret":
		name, field, found := strings.Cut(rest, "#")
		if !found || !secretField.MatchString(field) {
			return errors.New("the secret's field is missing or no valid key: write secret:<namespace>/<name>#<field>")
		}
		return validSecretName(name)
	case found && (kind == "env" || kind == "ext"):
		return fmt.Errorf("%s: is for the operator's registries.conf only: write pullsecret:<namespace>/<name> or "+
			"secret:<namespace>/<name>#<field>", kind)
	}
	return errors.New("write pullsecret:<namespace>/<name> or secret:<namespace>/<name>#<field>, never the credentials themselves")
}

func validTarget(s string) error {
	kind, where, found := strings.Cut(s, ":")
	if kind != "helmvalues" && kind != "kustomization" {
		return fmt.Errorf(`%q is no target: write helmvalues[:<file>] or kustomization[:<directory>], or remove it to use the pin file`,
			shorten(s))
	}
	if found && (where == "" || hasControl(where) || strings.Contains(where, `\`)) {
		return fmt.Errorf("%q: a path with forward slashes must follow the colon", shorten(s))
	}
	return nil
}

func validBranch(s string) error {
	if strings.Trim(s, ":") == "" || strings.HasPrefix(s, "-") || hasControl(s) {
		return fmt.Errorf("%q names no branch: write <base>, <base>:<branch to write> or :<branch to write>", shorten(s))
	}
	return nil
}

func validRepository(s string) error {
	if s == "" || strings.HasPrefix(s, "-") || hasControl(s) || strings.ContainsRune(s, ' ') {
		return errors.New("what is given is no URL of a Git repository")
	}
	if !strings.Contains(s, "://") { // user@host:path
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return errors.New("what is given is no URL of a Git repository")
	}
	if _, password := u.User.Password(); password || (u.User != nil && u.Scheme != "ssh") {
		return errors.New("the URL holds credentials: remove them, and name a Secret in write-back-method")
	}
	return nil
}

func validWithoutPin(s string) error {
	if s != string(WithoutPinChart) && s != string(WithoutPinRefuse) {
		return fmt.Errorf(`%q is neither "chart" nor "refuse"`, shorten(s))
	}
	return nil
}

// valuePath is keys separated by dots, each with any number of list indices; a backslash makes the next character a letter.
var valuePath = regexp.MustCompile(`^(?:[^.\[\]\\\s=,]|\\\S)+(?:\[[0-9]{1,4}\])*(?:\.(?:[^.\[\]\\\s=,]|\\\S)+(?:\[[0-9]{1,4}\])*)*$`)

func validValuePath(s string) error {
	if !valuePath.MatchString(s) {
		return fmt.Errorf("%q is no path of a Helm value: write keys separated by dots, such as image.tag or containers[0].image", shorten(s))
	}
	return nil
}

func validKustomizeName(s string) error {
	if s == "" || hasControl(s) || strings.ContainsAny(s, " =@") {
		return fmt.Errorf("%q is no image name", shorten(s))
	}
	return nil
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }
