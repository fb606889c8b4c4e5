// The demo runs tagpin's main job on this machine with nothing to configure: a registry, a Git remote with a chart and an
// overlay, the tagpin program as the plugin server, and Argo CD's own client in the place of the repo-server.
//
//	make demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// cacheTTL is short, so that the demo needn't wait a minute for a pushed tag.
const cacheTTL = 2 * time.Second

func main() { os.Exit(start()) }

func start() int {
	tagpin := flag.String("tagpin", ".bin/tagpin", "the tagpin program")
	charts := flag.String("charts", "examples/gitops-demo", "the directory with the chart and the overlay")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *tagpin, *charts); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, tagpin, charts string) error {
	dir, err := os.MkdirTemp("", "tagpin-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	step("A registry with the repository echo-server: v1.0, a release candidate, and two tags that are no versions")
	reg := startRegistry()
	defer reg.Close()
	built := time.Now().Add(-72 * time.Hour)
	for i, tag := range []string{"v1.0", "v1.1-rc.1", "nightly", "build-4711"} {
		if err := reg.push(ctx, tag, built.Add(time.Duration(i)*time.Hour)); err != nil {
			return err
		}
	}
	say("%s: v1.0  v1.1-rc.1  nightly  build-4711", reg.image())

	step("A Git remote with a Helm chart and a Kustomize overlay of the application gitops-demo; both say v1.0")
	remote, err := startGit(ctx, dir, charts, reg.image())
	if err != nil {
		return err
	}
	defer remote.Close()
	say("%s", remote.url())

	step("tagpin's plugin server, as it runs beside argocd-repo-server")
	sidecar, err := startSidecar(ctx, tagpin, dir, reg)
	if err != nil {
		return err
	}
	defer sidecar.Close()

	repoServer := repoServer{socket: sidecar.socket, git: remote, image: reg.image(), dir: dir}
	if err := show(ctx, &repoServer); err != nil {
		return err
	}

	step("Somebody pushes v2.0")
	if err := reg.push(ctx, "v2.0", time.Now()); err != nil {
		return err
	}
	if err := tell(ctx, tagpin, sidecar, reg.image()); err != nil {
		return err
	}
	if err := wait(ctx, cacheTTL+200*time.Millisecond); err != nil {
		return err
	}
	if err := show(ctx, &repoServer); err != nil {
		return err
	}
	if got := repoServer.last; got != reg.image()+":v2.0" {
		return fmt.Errorf("the manifests run %s, not v2.0", got)
	}
	fmt.Printf("\nDone: the push alone changed what Argo CD is given; no file was edited.\n")
	return nil
}

// show asks for the manifests of both applications, as the repo-server does, and prints their images.
func show(ctx context.Context, s *repoServer) error {
	step("Argo CD's client asks for the manifests")
	for _, path := range []string{"helm", "kustomize/overlays/prod"} {
		before := s.written(path)
		after, err := s.generate(ctx, path)
		if err != nil {
			return err
		}
		say("%-24s in Git %-8s rendered %s", path, before, after)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

func step(title string)              { fmt.Printf("\n\033[1m▸ %s\033[0m\n", title) }
func say(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }
