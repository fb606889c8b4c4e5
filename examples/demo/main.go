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
	"strings"
	"time"
)

func main() { os.Exit(start()) }

func start() int {
	tagpin := flag.String("tagpin", ".bin/tagpin", "the tagpin program")
	charts := flag.String("charts", "examples/gitops-demo", "the directory with the chart and the overlay")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "tagpin-demo")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(ctx, *tagpin, *charts, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, tagpin, charts, dir string) error {
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

	step("A Git remote with a Helm chart and a Kustomize overlay; both say v1.0")
	remote, err := startGit(ctx, dir, charts, reg.image())
	if err != nil {
		return err
	}
	defer remote.Close()
	say("%s", remote.url())

	step("tagpin, as it runs beside argocd-repo-server")
	side, err := startSidecar(ctx, tagpin, dir, reg, remote)
	if err != nil {
		return err
	}
	defer side.Close()

	d := demo{reg: reg, remote: remote, side: side, argocd: repoServer{socket: side.socket, git: remote, image: reg.image(), dir: dir}}
	for _, act := range []func(context.Context) error{d.begin, d.push, d.revert, d.goOn} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	fmt.Print("\nDone: every change of an image was a commit, and the commit is what was rendered.\n")
	return nil
}

// A demo is the stage with everything on it.
type demo struct {
	reg    memoryRegistry
	remote gitRemote
	side   *sidecar
	argocd repoServer
	old    string // the commit that deployed v1.0
}

// begin is the first render: it makes the applications known, and their first pins are committed.
func (d *demo) begin(ctx context.Context) error {
	step("Argo CD's client asks for the manifests of both applications; the chart's first pin becomes a commit")
	before := d.remote.tip(ctx)
	if err := d.show(ctx, "", "v1.0"); err != nil {
		return err
	}
	err := d.remote.waitFor(ctx, before, 1) // the overlay's kustomization names the tag already
	d.old = d.remote.tip(ctx)
	return errors.Join(err, d.remote.print(ctx, "log", "--format=  %h  %s", "-2"))
}

func (d *demo) push(ctx context.Context) error {
	step("Somebody pushes v2.0. Which tag now, and why?")
	before := d.remote.tip(ctx)
	if err := d.reg.push(ctx, "v2.0", time.Now()); err != nil {
		return err
	}
	if err := d.side.run(ctx, "resolve", d.reg.image()); err != nil {
		return err
	}
	if err := d.remote.waitFor(ctx, before, 2); err != nil {
		return err
	}

	step("The new tag is a commit: one per application, in one push")
	if err := d.remote.print(ctx, "log", "-2", "-p", "-U0", "--format=  %C(yellow)%h%C(reset) %an: %s%n%n%w(0,6,6)%b", "--color=always"); err != nil {
		return err
	}
	step("Argo CD renders the new commit, and the old one as it was")
	if err := d.show(ctx, "", "v2.0"); err != nil {
		return err
	}
	return d.show(ctx, d.old, "v1.0")
}

func (d *demo) revert(ctx context.Context) error {
	step("v2.0 is bad: git revert rolls one application back, and it holds")
	if err := d.remote.revert(ctx, helmPath); err != nil {
		return err
	}
	got, err := d.argocd.generate(ctx, helmPath, "")
	if err != nil {
		return err
	}
	say("%-24s %s", helmPath, got)
	if err := wait(ctx, 3*interval); err != nil {
		return err
	}
	if err := d.side.run(ctx, "status", "--socket", d.side.status); err != nil {
		return err
	}
	if !strings.HasSuffix(got, ":v1.0") {
		return fmt.Errorf("after the revert the manifests run %s", got)
	}
	return nil
}

func (d *demo) goOn(ctx context.Context) error {
	step("v2.1 is newer than what was taken away: it is pinned")
	before := d.remote.tip(ctx)
	if err := d.reg.push(ctx, "v2.1", time.Now()); err != nil {
		return err
	}
	if err := d.remote.waitFor(ctx, before, 2); err != nil {
		return err
	}
	if err := d.remote.print(ctx, "log", "--format=  %h  %an: %s", "main"); err != nil {
		return err
	}
	return d.show(ctx, "", "v2.1")
}

// show asks for the manifests of both applications at a revision, as the repo-server does, and checks their image.
func (d *demo) show(ctx context.Context, revision, want string) error {
	for _, path := range []string{helmPath, overlayPath} {
		got, err := d.argocd.generate(ctx, path, revision)
		if err != nil {
			return err
		}
		at := revision
		if at == "" {
			at = d.remote.tip(ctx)
		}
		say("%-24s at %.7s runs %s", path, at, got)
		if got != d.reg.image()+":"+want {
			return fmt.Errorf("%s renders %s, not %s", path, got, want)
		}
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
