package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/render"
	"github.com/tagpin/tagpin/render/fetch"
	"github.com/tagpin/tagpin/writeback"
)

// gitFlags say how Git servers are reached.
type gitFlags struct{ knownHosts, tlsCerts, cacheDir string }

func (f *gitFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.knownHosts, "ssh-known-hosts", defaultKnownHosts, "the host keys of SSH servers: argocd-ssh-known-hosts-cm")
	flags.StringVar(&f.tlsCerts, "tls-certs-dir", defaultTLSCerts, "a directory with the CA of each Git, chart or file server that needs one: argocd-tls-certs-cm")
	flags.StringVar(&f.cacheDir, "git-cache-dir", "", "what was fetched from Git; may be deleted (default: _tagpin-git in the temporary directory)")
}

func (f *gitFlags) dir() string {
	if f.cacheDir == "" {
		return filepath.Join(os.TempDir(), "_tagpin-git")
	}
	return f.cacheDir
}

// fetchFlags say where what renders have fetched is kept.
type fetchFlags struct{ dir string }

func (f *fetchFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.dir, "fetch-cache-dir", "", "the charts, bases and files that were fetched for renders; may be deleted (default: _tagpin-fetch in the temporary directory)")
}

// before makes a renderer that first has fetched what a render needs.
func (f *fetchFlags) before(inner plugin.Renderer, e *engine, g gitFlags) (plugin.Renderer, error) {
	if err := render.CheckBuildOptions(string(e.settings.Kustomize.BuildOptions)); err != nil {
		return nil, fmt.Errorf("kustomize.build-options in the operator's settings: %w", err)
	}
	bases, err := writeback.New(writeback.Options{
		CacheDir: g.dir(), Settings: e.settings, Secrets: e.secrets, KnownHosts: g.knownHosts, CADir: g.tlsCerts,
	})
	if err != nil {
		return nil, err
	}
	dir := f.dir
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "_tagpin-fetch")
	}
	return fetch.New(fetch.Options{
		Render: timedRenderer(inner, e.metrics), Settings: e.settings, Secrets: e.secrets, Charts: e.registries, Bases: bases, Dir: dir, CADir: g.tlsCerts, Log: e.log,
	}).Render, nil
}
