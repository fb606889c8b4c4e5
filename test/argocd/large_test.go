package argocd

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/reposerver/repository"
	argogit "github.com/argoproj/argo-cd/v2/util/git"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

// What a repository of 20,000 files and 200 MB costs each render, and what its operator can do about it.
func TestCostOfLargeRepository(t *testing.T) {
	if !*costs {
		return
	}
	t.Setenv("TAGPIN_RENDER_TIMEOUT", "10m") // however busy the machine is
	side := startUpdatingSidecar(t, acr.Start(t, acr.Options{}), gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}))
	repo := newCheckout(t, "../../examples/gitops-demo")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		repo.write(fmt.Sprintf("apps/team-%03d/file-%03d.yaml", i/100, i%100), text(random, 10<<10))
	}
	repo.write("helm/.argocd-source-gitops-demo.yaml", "pins:\n- image: "+echoServer+"\n  tag: v1.7\n")
	repo.commit("large")
	for _, c := range []struct {
		name, chunk, paths string
		set                repository.RepoServerInitConstants
	}{
		{name: "as it comes"},
		{name: "chunks of 64 KiB", chunk: "65536"},
		{name: "and .git left out", chunk: "65536", set: repository.RepoServerInitConstants{CMPTarExcludedGlobs: []string{".git", ".git/*"}}},
		{name: "and other teams left out", chunk: "65536", set: repository.RepoServerInitConstants{CMPTarExcludedGlobs: []string{".git", ".git/*", "apps", "apps/*"}}},
		{name: "manifest-generate-paths instead", chunk: "65536", paths: ".", set: repository.RepoServerInitConstants{CMPUseManifestGeneratePaths: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.chunk != "" {
				t.Setenv("ARGOCD_CMP_CHUNK_SIZE", c.chunk)
			}
			server := start(t, side.sockets, argogit.NoopCredsStore{}, c.set)
			request := Request{RepoURL: repo.url(), Source: gitRepo{}.source("helm"), NoCache: true, Paths: c.paths}
			if _, err := server.Generate(t.Context(), request); err != nil { // the clone isn't what is measured
				t.Fatal(err)
			}
			pid := side.cmd.Process.Pid
			here, there, begin := cpuHere(t), cpuThere(t, pid), time.Now()
			if _, err := server.Generate(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			t.Logf("%v wall; CPU: repo-server %v, tagpin %v", time.Since(begin).Round(10*time.Millisecond),
				(cpuHere(t) - here).Round(10*time.Millisecond), (cpuThere(t, pid) - there).Round(10*time.Millisecond))
		})
	}
}

// text is about as much like YAML, and compresses as well, as configuration does.
func text(random *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "  key%d: value-%x\n", random.IntN(100), random.Uint32())
	}
	return b.String()
}
