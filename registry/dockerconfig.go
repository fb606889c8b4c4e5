package registry

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tagpin/tagpin/config"
)

// dockerAuth is one entry of a .dockerconfigjson. Its other fields (identity tokens, mail addresses) have no use here.
type dockerAuth struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
}

// fromDockerConfig finds the entry for a repository: the host must be one of hosts, a path behind it must hold the
// repository on whole segments, and the longest such path wins. Ties go to the entry that is named more plainly, and then
// to the alphabet: never to the order of a map.
func fromDockerConfig(ref config.Credential, data []byte, hosts []string, repository string) (*login, error) {
	var file dockerFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%s: is no docker config: create the Secret with kubectl create secret docker-registry", ref)
	}
	auth, found := file.find(hosts, repository)
	if !found {
		return nil, fmt.Errorf("%s: has no entry for %s: add it to the Secret's auths", ref, hosts[0])
	}
	return auth.login(ref)
}

// A dockerFile is a config.json, or what a Secret of type kubernetes.io/dockerconfigjson holds.
type dockerFile struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredHelpers map[string]string     `json:"credHelpers"`
	CredsStore  string                `json:"credsStore"`
}

func (f dockerFile) find(hosts []string, repository string) (dockerAuth, bool) {
	var fits []string
	for key := range f.Auths {
		host, path := splitAuthKey(key)
		if slices.Contains(hosts, host) && (path == "" || within(repository, path)) {
			fits = append(fits, key)
		}
	}
	if len(fits) == 0 {
		return dockerAuth{}, false
	}
	best := slices.MinFunc(fits, func(a, b string) int {
		_, pathA := splitAuthKey(a)
		_, pathB := splitAuthKey(b)
		if len(pathA) != len(pathB) {
			return len(pathB) - len(pathA)
		}
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return f.Auths[best], true
}

// splitAuthKey parses what docker login writes: a host, perhaps as a URL, and with /v1/ or /v2/ behind it.
func splitAuthKey(key string) (host, path string) {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, path, _ = strings.Cut(key, "/")
	path = strings.Trim(path, "/")
	if path == "v1" || path == "v2" {
		path = ""
	}
	return canonicalHost(host), path
}

// canonicalHost is in lower case and without https' own port.
func canonicalHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ":443")
}

func sameHost(a, b string) bool { return canonicalHost(a) == canonicalHost(b) }

func (a dockerAuth) login(ref config.Credential) (*login, error) {
	switch {
	case a.Auth != "":
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(a.Auth))
		if err != nil {
			return nil, fmt.Errorf("%s: its auth field is no base64", ref)
		}
		return parseLogin(ref, strings.TrimRight(string(raw), "\x00"))
	case a.Username != "" && a.Password != "":
		return &login{ref: ref, user: a.Username, password: a.Password}, nil
	case a.IdentityToken != "":
		return nil, fmt.Errorf("%s: holds an identity token, which is not supported: store user name and password", ref)
	}
	return nil, fmt.Errorf("%s: its entry for this registry holds neither auth nor username and password", ref)
}
