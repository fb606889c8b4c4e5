package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/tagpin/tagpin/config"
)

// acrSecret is the Secret that serves ACR's own hosts without any configuration: argocd/acr, with user:password in the field acr.
func acrSecret() config.Credential {
	return config.Credential{Kind: config.Secret, Namespace: "argocd", Name: "acr", Field: "acr"}
}

// impliedLogin is for registries to which nobody assigned a credential: the entry of DOCKER_CONFIG for exactly this host, then,
// for hosts of ACR that registries.conf doesn't have, the Secret argocd/acr. None of them is anonymous.
func (r *Repository) impliedLogin(ctx context.Context) (*login, error) {
	if l, err := r.fromEnvironment(); l != nil || err != nil {
		return l, err
	}
	h, known := r.ep.acrHost()
	if !known {
		return nil, nil //nolint:nilnil // nil is anonymous
	}
	if !r.ep.Named && r.r.opts.Secrets.Dir != "" {
		l, err := r.read(ctx, acrSecret())
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
		r.noField.Store(config.FieldMissing(err))
	}
	if h.edition == personalInstance {
		return nil, fmt.Errorf("a personal instance (crpi-) of ACR gives nothing without a login, and has no passwordless access, which "+
			"Enterprise instances have: put its user name and password in the Secret argocd/acr, field acr, as user:password, "+
			"or add an entry for %s with credentials to registries.conf", r.host)
	}
	return nil, nil //nolint:nilnil // nil is anonymous
}

const envDockerConfig = "DOCKER_CONFIG"

// fromEnvironment is the login that the file of DOCKER_CONFIG holds for this registry, or nil. The file is read each time, since
// what writes it (Alibaba Cloud's credential component, say) renews it. Programs that it names are not run.
func (r *Repository) fromEnvironment() (*login, error) {
	dir := r.r.opts.Env(envDockerConfig)
	if dir == "" {
		return nil, nil //nolint:nilnil // none
	}
	data, err := readSmall(filepath.Join(dir, "config.json"), maxConfBytes)
	if errors.Is(err, fs.ErrNotExist) { // a Secret of type kubernetes.io/dockerconfigjson, mounted as it is
		data, err = readSmall(filepath.Join(dir, config.PullSecretField), maxConfBytes)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none yet
	}
	if err != nil {
		return nil, errors.New("the file config.json of DOCKER_CONFIG can't be read: check the mount and its size")
	}
	var file dockerFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errors.New("the file config.json of DOCKER_CONFIG is no docker config")
	}
	auth, found := file.find(r.hostNames(), r.path)
	program := found && auth == dockerAuth{} && file.CredsStore != ""
	for host := range file.CredHelpers {
		program = program || slices.Contains(r.hostNames(), canonicalHost(host))
	}
	switch {
	case program && (auth == dockerAuth{}):
		return nil, fmt.Errorf("DOCKER_CONFIG leaves the login of %s to a credential helper, and tagpin runs none: "+
			"store the login there, or let ext: in registries.conf name a program", r.host)
	case !found:
		return nil, nil //nolint:nilnil // none
	}
	l, err := auth.login(config.Credential{})
	if err != nil {
		return nil, fmt.Errorf("the entry of DOCKER_CONFIG for %s can't be used: it needs auth, or username and password", r.host)
	}
	l.label = "DOCKER_CONFIG's entry for " + r.host
	return l, nil
}
