// Package config reads what the operator decides: the settings file tagpin.yaml. Call Load once at start; then
// Settings.Bound before a credential is used, Secrets.Read to read it, and Settings.MayDial before a private address is
// dialled.
//
// Parsing is strict. What an application may do with a credential hangs on this file, so an unknown or repeated key, or a
// value that can't be what was meant, stops the start instead of being skipped.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
)

// DefaultPath is read by Load when no path is given.
const DefaultPath = "/etc/tagpin/tagpin.yaml"

// maxFile is the size of the largest ConfigMap.
const maxFile = 1 << 20

// Settings is the whole file. The zero value binds nothing and limits nothing: start from Default, Load or Parse.
type Settings struct {
	// Bindings say which credential may be used for what. What none of them allows is refused.
	Bindings []Binding `yaml:"bindings"`
	Defaults Defaults  `yaml:"defaults"`
	Limits   Limits    `yaml:"limits"`
	// Proposals are what git-branch: <base>:<write> may push.
	Proposals Proposals `yaml:"proposals"`
	// Updates are rules for what the update loop writes.
	Updates   Updates   `yaml:"updates"`
	Network   Network   `yaml:"network"`
	Kustomize Kustomize `yaml:"kustomize"`
	// ACR lists the instances of Alibaba Cloud Container Registry that need no stored password.
	ACR ACR `yaml:"acr"`
	// Applications are settings that an application can't make for itself.
	Applications Applications `yaml:"applications"`
	// Webhooks say who may tell that something was pushed.
	Webhooks []Webhook `yaml:"webhooks"`
}

// Defaults stand in for what an Application doesn't set.
type Defaults struct {
	// WriteBackMethod is the write-back-method of applications without one; empty: each must set its own.
	WriteBackMethod WriteBackMethod `yaml:"write-back-method"`
}

// Proposals are pins on a branch of their own, for people to merge.
type Proposals struct {
	// Prefix begins the name of every branch of proposals: no application can make tagpin push to another one.
	Prefix BranchPrefix `yaml:"prefix"`
}

// DefaultProposalPrefix is the Prefix of an installation that sets none.
const DefaultProposalPrefix = "tagpin/"

// Limits bound what one render may use.
type Limits struct {
	// ArchiveBytes, ArchiveFiles and FileBytes bound the unpacked repository: its sum, its entries, each file.
	ArchiveBytes Size `yaml:"archive-bytes"`
	ArchiveFiles int  `yaml:"archive-files"`
	FileBytes    Size `yaml:"file-bytes"`
	// ManifestBytes bounds the rendered output.
	ManifestBytes Size `yaml:"manifest-bytes"`
	// RenderTimeout bounds a render, the wait for its turn included.
	RenderTimeout time.Duration `yaml:"render-timeout"`
	// ConcurrentRenders bounds how many run at a time. 0: as many as there are cores.
	ConcurrentRenders int `yaml:"concurrent-renders"`
	// FetchTimeout bounds how long one render waits for what it has fetched: charts, bases, files.
	FetchTimeout time.Duration `yaml:"fetch-timeout"`
	// FetchCacheBytes bounds what is kept of that on disk.
	FetchCacheBytes Size `yaml:"fetch-cache-bytes"`
}

// Kustomize says how kustomizations are built.
type Kustomize struct {
	// BuildOptions are flags of `kustomize build`, as kustomize.buildOptions in argocd-cm has them. Package render reads them.
	BuildOptions Text `yaml:"build-options"`
}

// Applications holds settings by application name.
type Applications struct {
	// AllowEmpty names the applications that may render no object at all. With automatic pruning, empty output deletes
	// everything the application runs, so it is an error for all others.
	AllowEmpty []Glob `yaml:"allow-empty"`
}

// Default returns the settings of an installation without a file: nothing bound, and these limits.
func Default() Settings {
	return Settings{Proposals: Proposals{Prefix: DefaultProposalPrefix}, Updates: Updates{FirstPin: AnyPin, AutomatedSync: RequiredSync}, Limits: Limits{
		ArchiveBytes:  512 << 20, // a monorepo's working tree; a bomb of 1000:1 from a 10 MB upload is far above
		ArchiveFiles:  50_000,
		FileBytes:     64 << 20, // charts with vendored dependencies and CRDs stay below
		ManifestBytes: 64 << 20, // Argo CD takes messages of up to 100 MB
		RenderTimeout: 45 * time.Second,
		FetchTimeout:  20 * time.Second, // leaves more than half of a render's time to the render
		// Hundreds of charts, or some dozens of repositories with bases.
		FetchCacheBytes: 1 << 30,
	}}
}

// AllowsEmpty says whether the application may render no object.
func (s Settings) AllowsEmpty(application string) bool {
	return matchAny(s.Applications.AllowEmpty, application)
}

// Load reads the settings. An empty path means DefaultPath, and the defaults where that doesn't exist; a path that was
// given must exist.
func Load(file string) (Settings, error) {
	optional := file == ""
	if optional {
		file = DefaultPath
	}
	data, err := os.ReadFile(file)
	switch {
	case optional && errors.Is(err, fs.ErrNotExist):
		return Default(), nil
	case err != nil:
		return Settings{}, fmt.Errorf("reading the operator's settings: %w", err)
	}
	return Parse(file, data)
}

// Parse reads settings from data; name stands for the file in errors, which are of the form "name:line: what is wrong" and
// report everything at once. What data doesn't set has its default.
func Parse(name string, data []byte) (Settings, error) {
	if len(data) > maxFile {
		return Settings{}, fmt.Errorf("%s: settings of more than %d bytes", path.Base(name), maxFile)
	}
	s := Default()
	if err := decodeYAML(path.Base(name), data, &s); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// check holds what the fields can't say one by one.
func (l Limits) check() error {
	switch {
	case l.ArchiveFiles < 1:
		return errors.New("archive-files must be at least 1")
	case l.ConcurrentRenders < 0:
		return errors.New("concurrent-renders must be 0 (as many as cores) or more")
	case l.RenderTimeout < time.Second || l.RenderTimeout > time.Hour:
		return errors.New("render-timeout must be between 1s and 1h")
	case l.FetchTimeout < time.Second || l.FetchTimeout > time.Hour:
		return errors.New("fetch-timeout must be between 1s and 1h")
	case l.FileBytes > l.ArchiveBytes:
		return errors.New("file-bytes is greater than archive-bytes: no file can be larger than all together")
	}
	return nil
}
