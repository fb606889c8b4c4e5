// Command release makes what a release consists of, in a directory: an archive with the binary and its SBOM for each architecture,
// Argo CD's manifests with tagpin in them, the files of deploy/, and the checksums of all. The same commit gives the same bytes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tagpin/tagpin/deploy/argocd"
)

// A build is one release.
type build struct {
	version, out string
	kustomize    string // the program
	cyclonedx    string // cyclonedx-gomod
	run          func(ctx context.Context, env []string, name string, args ...string) ([]byte, error)
}

func main() {
	b := build{run: run}
	flag.StringVar(&b.version, "version", "", "the tag, such as v0.1.0")
	flag.StringVar(&b.out, "out", "dist", "the directory to make")
	flag.StringVar(&b.kustomize, "kustomize", "kustomize", "the program kustomize")
	flag.StringVar(&b.cyclonedx, "cyclonedx", "cyclonedx-gomod", "the program cyclonedx-gomod")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := b.make(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (b build) make(ctx context.Context) error {
	if b.version == "" {
		return errors.New("-version is missing: name the tag, such as v0.1.0")
	}
	if err := os.RemoveAll(b.out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o750); err != nil {
		return err
	}
	for _, arch := range []string{"amd64", "arm64"} {
		if err := b.binary(ctx, arch); err != nil {
			return fmt.Errorf("linux/%s: %w", arch, err)
		}
	}
	if err := b.manifests(ctx); err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	if err := b.components(); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	return checksums(b.out)
}

// path is a file of the release.
func (b build) path(suffix string) string {
	return filepath.Join(b.out, "tagpin_"+b.version+suffix)
}

// binary builds as the Makefile and the Dockerfile do.
func (b build) binary(ctx context.Context, arch string) error {
	dir, err := os.MkdirTemp("", "tagpin-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "tagpin")
	_, err = b.run(ctx, []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch}, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X main.version="+b.version, "-o", program, "./cmd/tagpin")
	if err != nil {
		return err
	}
	sbom, err := b.run(ctx, nil, b.cyclonedx, "bin", "-json", "-std", "-noserial", "-version", b.version, program)
	if err != nil {
		return err
	}
	if err := writeSBOM(b.path("_linux_"+arch+".cdx.json"), sbom); err != nil {
		return err
	}
	files := map[string]string{"tagpin": program}
	for _, name := range []string{"LICENSE", "README.md", "README.zh-CN.md", "CHANGELOG.md", "plugin.yaml"} {
		files[name] = name
	}
	return archive(b.path("_linux_"+arch+".tar.gz"), files)
}

// writeSBOM leaves the time out.
func writeSBOM(path string, text []byte) error {
	var sbom map[string]any
	if err := json.Unmarshal(text, &sbom); err != nil {
		return err
	}
	metadata, ok := sbom["metadata"].(map[string]any)
	if !ok {
		return errors.New("the SBOM has no metadata")
	}
	delete(metadata, "timestamp")
	text, err := json.MarshalIndent(sbom, "", "  ")
	if err != nil {
		return err
	}
	return write(path, text)
}

// topologies are the components that get install manifests.
func topologies() []string { return []string{"sidecar", "hardened"} }

// manifests are Argo CD's own with a component each, for kubectl apply.
func (b build) manifests(ctx context.Context) error {
	dir, err := os.MkdirTemp(".", ".release") // kustomize takes no absolute paths
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, r := range argocd.Releases() {
		version, from, err := r.Manifests()
		if err != nil {
			return err
		}
		install, err := os.ReadFile(filepath.Join(from, "install.yaml"))
		if err != nil {
			return err
		}
		for _, topology := range topologies() {
			out, err := b.render(ctx, dir, topology, install)
			if err != nil {
				return err
			}
			if err := write(b.path("_argocd-"+version+"_"+topology+".yaml"), out); err != nil {
				return err
			}
		}
	}
	return nil
}

// render adds a component to Argo CD's manifests, in the directory dir.
func (b build) render(ctx context.Context, dir, topology string, install []byte) ([]byte, error) {
	text := fmt.Sprintf("namespace: argocd\nresources: [argo-cd.yaml]\ncomponents: [../deploy/%s]\nimages: [{name: %s, newTag: %q}]\n",
		topology, image, b.version)
	err := errors.Join(write(filepath.Join(dir, "argo-cd.yaml"), install), write(filepath.Join(dir, "kustomization.yaml"), []byte(text)))
	if err != nil {
		return nil, err
	}
	return b.run(ctx, nil, b.kustomize, "build", dir)
}

func write(path string, text []byte) error {
	return os.WriteFile(path, text, 0o644) //nolint:gosec // what everybody gets; the paths are this program's
}

const image = "ghcr.io/tagpin/tagpin"

var imageLine = regexp.MustCompile(`(image: ` + image + `):\S+`)

// components archives the components and values, with the release's image in them.
func (b build) components() error {
	dir, err := os.MkdirTemp("", "tagpin-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	paths, err := filepath.Glob("deploy/[a-z]*/*.yaml")
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files[path] = filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		text = imageLine.ReplaceAll(text, []byte("${1}:"+b.version))
		if err := write(files[path], text); err != nil {
			return err
		}
	}
	return archive(b.path("_deploy.tar.gz"), files)
}

func run(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // programs that the caller names
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return out, nil
}
