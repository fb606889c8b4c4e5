package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
)

// confCheck is how often the file is looked at. The kubelet needs up to a minute to bring a change anyway.
const confCheck = time.Second

// confFile is a registries.conf that is read again when it changes. It is looked at when it is needed, by content: the
// kubelet swaps a symlink, which leaves times that say nothing.
type confFile struct {
	path string
	acr  config.ACR
	log  logrus.FieldLogger
	now  func() time.Time

	mu      sync.Mutex
	checked time.Time
	sum     [sha256.Size]byte
	absent  bool // there has never been a file, and there need not be one
	conf    *conf
	bad     error
}

// A conf is one version of the file.
type conf struct{ entries []Endpoint }

func openConf(o Options) (*confFile, error) {
	f := &confFile{path: o.ConfPath, acr: o.Settings.ACR, log: o.Log, now: o.Now, conf: &conf{}, checked: o.Now()}
	if err := checkInstances(f.acr, nil); err != nil {
		return nil, err
	}
	if f.path == "" {
		return f, nil
	}
	data, err := f.read()
	if err != nil {
		if f.absent = !o.ConfRequired && errors.Is(err, fs.ErrNotExist); f.absent {
			return f, nil
		}
		return nil, err
	}
	f.sum = sha256.Sum256(data)
	f.conf, err = f.parse(data)
	return f, err
}

func (f *confFile) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("registries.conf: check --registries-conf-path and the mount: no file %s: %w", f.path, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("registries.conf: %w", err)
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxConfBytes+1))
}

func (f *confFile) parse(data []byte) (*conf, error) {
	entries, err := ParseConf(data)
	if err != nil {
		return nil, fmt.Errorf("registries.conf: %w", err)
	}
	for i := range entries {
		if _, err := roots(entries[i]); err != nil {
			return nil, fmt.Errorf("registries.conf: registry %q: %w", entries[i].Name, err)
		}
	}
	if err := checkInstances(f.acr, entries); err != nil {
		return nil, err
	}
	return &conf{entries}, nil
}

// current is the present version, or the last good one.
func (f *confFile) current() *conf {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" {
		return f.conf
	}
	if now := f.now(); now.Sub(f.checked) >= confCheck {
		f.checked = now
		f.reload()
	}
	return f.conf
}

// reload takes over a changed file if it is a good one. A broken one is told once.
func (f *confFile) reload() {
	data, err := f.read()
	if f.absent && errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.absent = false
	if err != nil {
		if f.bad == nil || f.bad.Error() != err.Error() {
			f.log.WithError(err).Error("registries.conf cannot be read; the last good version stays in use")
		}
		f.bad, f.sum = err, [sha256.Size]byte{}
		return
	}
	sum := sha256.Sum256(data)
	if sum == f.sum {
		return
	}
	f.sum = sum
	c, err := f.parse(data)
	if err != nil {
		f.bad = err
		f.log.WithError(err).Error("the new registries.conf is broken; the last good version stays in use")
		return
	}
	f.conf, f.bad = c, nil
	f.log.Info("registries.conf has changed and is in use")
}

func (f *confFile) problem() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad
}

// Docker Hub goes by several names, and keeps its official images in a namespace that is left out.
const (
	dockerHub    = "docker.io"
	dockerHubAPI = "index.docker.io"
	dockerHubNS  = "library"
)

// registryName is the registry of an image as the user knows it.
func registryName(img image.Image) string {
	switch host := strings.ToLower(img.Registry); host {
	case "", dockerHubAPI, "registry-1.docker.io":
		return dockerHub
	default:
		return host
	}
}

// find returns the registry of an image, and the repository's path there: the entry with the longest prefix on whole path
// segments; for images without a registry the default entry; else what the host implies.
func (c *conf) find(img image.Image) (*Endpoint, string) {
	name := registryName(img)
	var best *Endpoint
	for i := range c.entries {
		e := &c.entries[i]
		switch {
		case img.Registry == "" && e.Default:
			return e, e.repository(img)
		case e.Prefix != "" && within(name+"/"+img.Repository, e.Prefix) && (best == nil || len(e.Prefix) > len(best.Prefix)):
			best = e
		}
	}
	if best == nil {
		best = implied(name)
	}
	return best, best.repository(img)
}

// within says whether path is prefix or lies below it.
func within(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func implied(host string) *Endpoint {
	e := &Endpoint{Name: host, Prefix: host, API: &url.URL{Scheme: "https", Host: host}}
	if host == dockerHub {
		e.API.Host = dockerHubAPI
	}
	return e
}

// repository is the path of an image's repository in this registry.
func (e *Endpoint) repository(img image.Image) string {
	ns := e.DefaultNS
	if ns == "" && e.Prefix == dockerHub {
		ns = dockerHubNS
	}
	if ns == "" || strings.Contains(img.Repository, "/") {
		return img.Repository
	}
	return ns + "/" + img.Repository
}

// perSecond is the request limit with its default.
func (e *Endpoint) perSecond() int {
	switch {
	case e.Limit > 0:
		return e.Limit
	case e.Prefix == dockerHub:
		return dockerHubLimit
	}
	return DefaultLimit
}

// acrHost reads the API's host; a port of its own is nothing that ACR has.
func (e *Endpoint) acrHost() (acrHost, bool) { return parseACR(canonicalHost(e.API.Host)) }

// identity is equal for endpoints that are reached in the same way.
func (e *Endpoint) identity() string {
	acr := ACRRef{}
	if e.ACR != nil {
		acr = *e.ACR
	}
	return fmt.Sprintf("%s %t %d %q %q %q", e.API, e.Insecure, e.perSecond(), e.CAFile, e.CAData, acr)
}
