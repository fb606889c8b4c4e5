package argocd

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

const (
	gitUser = "robot"
	// gitPassword is a canary: it may be in no log, error or commit.
	gitPassword = "git-Canary-password"
	viaGitCreds = "git:secret:argocd/git-creds"
)

// startUpdatingSidecar runs `tagpin serve` with the update loop, for the repositories of a Git server.
func startUpdatingSidecar(t *testing.T, reg *acr.Server, git *gitserver.Server) *sidecar {
	t.Helper()
	return startUpdatingSidecarWith(t, reg, git, "secret:argocd/git-creds")
}

// startUpdatingSidecarWith binds another credential to the Git server.
func startUpdatingSidecarWith(t *testing.T, reg *acr.Server, git *gitserver.Server, credential string) *sidecar {
	t.Helper()
	secrets := secretsWith(t, acr.User+":"+acr.Password)
	creds := filepath.Join(secrets, "argocd", "git-creds")
	if err := os.MkdirAll(creds, 0o700); err != nil {
		t.Fatal(err)
	}
	for field, value := range map[string]string{"username": gitUser, "password": gitPassword} {
		if err := os.WriteFile(filepath.Join(creds, field), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings := filepath.Join(t.TempDir(), "tagpin.yaml")
	text := fmt.Sprintf("bindings:\n- credential: %s\n  kind: git\n  url: %s\n", credential, strings.TrimSuffix(git.URL("x"), "/x.git"))
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secrets, "--settings", settings, "--cache-ttl", ttl.String(),
		"--interval", "1s", "--push-distance", "1s")
	t.Cleanup(func() {
		for _, canary := range []string{gitPassword, acr.Password, acr.Leak} {
			if strings.Contains(s.log.String(), canary) {
				t.Errorf("the log gives %q away", canary)
			}
		}
	})
	return s
}

// exampleFiles are those of the example application, by path.
func exampleFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := "../../examples/gitops-demo"
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (c gitRepo) source(path string, parameters ...v1alpha1.ApplicationSourcePluginParameter) v1alpha1.ApplicationSource {
	parameters = append([]v1alpha1.ApplicationSourcePluginParameter{
		param("image-list", "echoserver="+echoServer),
		param("write-back-method", viaGitCreds),
	}, parameters...)
	return v1alpha1.ApplicationSource{Path: path, Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "tagpin", Parameters: parameters}}
}

// A gitRepo is a repository on a Git server that the repo-server reads with its own credentials and tagpin with its.
type gitRepo struct {
	server *gitserver.Server
	name   string
}

func (c gitRepo) request(source v1alpha1.ApplicationSource) Request {
	return Request{RepoURL: c.server.URL(c.name), Username: gitUser, Password: gitPassword, Source: source}
}

// waitForTip waits until the branch has moved on from a commit.
func (c gitRepo) waitForTip(t *testing.T, from string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if tip := c.server.Tip(c.name, "main"); tip != from {
			return tip
		}
	}
	t.Fatalf("no commit came after %s", from)
	return ""
}

// The heart of it: a pushed tag becomes a commit, and the commit is what is rendered; the commit before renders as before.
func TestPushedTagIsCommittedThenRendered(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	repo := gitRepo{gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}), "demo"}
	repo.server.Create("demo", exampleFiles(t))
	side := startUpdatingSidecar(t, reg, repo.server)
	server := Start(t, side.sockets)

	first := repo.server.Tip("demo", "main")
	request := repo.request(repo.source("helm"))
	got, err := server.Generate(t.Context(), request) // the render that tells the loop of the application
	wantImage(t, got, err, echoServer+":v1.0")
	pinned := repo.waitForTip(t, first)
	got, err = server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.0")

	reg.Push(echoRepo, "v2.0", acr.Image{})
	updated := repo.waitForTip(t, pinned)
	reg.Reset()
	got, err = server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v2.0")
	for revision, image := range map[string]string{first: ":v1.0", pinned: ":v1.0", updated: ":v2.0"} {
		old := request
		old.Revision, old.NoCache = revision, true
		got, err = server.Generate(t.Context(), old)
		wantImage(t, got, err, echoServer+image)
	}
	if tip := repo.server.Tip("demo", "main"); tip != updated {
		t.Errorf("previews of old commits caused the commit %s", repo.server.Git("demo", "log", "-1", "--format=%B", tip))
	}
}

// A render never waits for the registry or for a push: while one is down and the other is refused, a commit renders as it did.
func TestPinnedRenderNeedsNobody(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v2.0", acr.Image{})
	repo := gitRepo{gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}), "demo"}
	files := exampleFiles(t)
	files["helm/.argocd-source-gitops-demo.yaml"] = "pins:\n- image: " + echoServer + "\n  tag: v1.7\n"
	repo.server.Create("demo", files)
	repo.server.Protect("demo", "main")
	side := startUpdatingSidecar(t, reg, repo.server)
	server := Start(t, side.sockets)
	request := repo.request(repo.source("helm"))
	request.NoCache = true
	got, err := server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.7")
	side.waitForLog(t, "the branch is protected", 1)
	reg.Fail(acr.List, acr.Fault{Status: 503})
	side.waitForLog(t, "can't be asked", 1)
	reg.Reset()
	got, err = server.Generate(t.Context(), request)
	wantImage(t, got, err, echoServer+":v1.7")
}

// A commit renders the same forever: a history of random pins, edits and reverts is rendered twice, in random order, while
// tags come in the registry.
func TestCommitsRenderTheSameForever(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	remote := gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword})
	side := startUpdatingSidecar(t, reg, remote)
	server := Start(t, side.sockets)
	random := rand.New(rand.NewPCG(1, 2))
	git := newCheckout(t, "../../examples/gitops-demo")
	git.commit("first")
	history := randomHistory(git, random, 60)
	seen, tags := make([]string, len(history)), map[string]bool{}
	for round := range 2 {
		for n, i := range random.Perm(len(history)) {
			if n%5 == 0 {
				reg.Push(echoRepo, fmt.Sprintf("v%d.%d", 7+round, n), acr.Image{})
			}
			m := history[i]
			got, err := server.Generate(t.Context(), Request{RepoURL: git.url(), Revision: m.revision, Source: m.source, NoCache: true})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			text := strings.Join(got, "\n")
			if round == 1 && seen[i] != text {
				t.Errorf("commit %d renders differently:\n%s\n\n%s", i, seen[i], text)
			}
			seen[i] = text
			tags[strings.Join(images(t, got), " ")] = true
		}
	}
	if len(tags) < 10 {
		t.Errorf("the whole history runs no more than %v", tags)
	}
}

// A moment is a commit with the Application as it was then.
type moment struct {
	revision string
	source   v1alpha1.ApplicationSource
}

// randomHistory is what tagpin and people do to the example, one commit after the other.
func randomHistory(git checkout, random *rand.Rand, n int) []moment {
	git.t.Helper()
	values := exampleFiles(git.t)["helm/values.yaml"]
	paths := []string{"helm", "kustomize/overlays/prod"}
	var history []moment
	for i := range n {
		pinFile := paths[random.IntN(2)] + "/.argocd-source-gitops-demo.yaml"
		switch random.IntN(6) {
		case 0, 1:
			git.write(pinFile, fmt.Sprintf("pins:\n- alias: echoserver\n  image: %s\n  tag: v1.%d\n", echoServer, i))
		case 2:
			git.write("helm/values.yaml", strings.Replace(values, `"v1.0"`, fmt.Sprintf(`"v0.%d"`, i), 1))
		case 3:
			_ = os.Remove(filepath.Join(git.dir, pinFile))
		case 4:
			git.revert(fmt.Sprintf("HEAD~%d", random.IntN(min(i+1, 4))))
		default:
			git.write("notes.md", fmt.Sprint(i))
		}
		git.git("add", "-A")
		git.git("commit", "-q", "--allow-empty", "-m", "change")
		history = append(history, moment{git.git("rev-parse", "HEAD"), randomSource(random, paths)})
	}
	return history
}

// randomSource is one that the Application may have had, which people edit as well.
func randomSource(random *rand.Rand, paths []string) v1alpha1.ApplicationSource {
	switch random.IntN(5) {
	case 0:
		return gitRepo{}.source("helm", param("helm.values", fmt.Sprintf("replicaCount: %d\n", random.IntN(9))))
	case 1:
		return gitRepo{}.source("helm", param("write-back-target", "helmvalues"))
	case 2:
		source := gitRepo{}.source(paths[random.IntN(2)])
		*source.Plugin.Parameters[0].String_ += ":^1" // image-list
		return source
	}
	return gitRepo{}.source(paths[random.IntN(2)])
}

// What must not cause a commit, whatever is rendered.
func TestRendersThatCommitNothing(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v2.0", acr.Image{})
	repo := gitRepo{gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword}), "demo"}
	files := exampleFiles(t)
	files["tree/Chart.yaml"] = "apiVersion: v2\nname: tree\nversion: 0.1.0\n"
	files["tree/templates/x.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
	files["tree/.argocd-source.yaml"] = "plugin:\n  name: tagpin\n  parameters:\n  - {name: image-list, string: " + echoServer +
		"}\n  - {name: write-back-method, string: " + viaGitCreds + "}\n  - {name: write-back-target, string: \"helmvalues:/helm/values.yaml\"}\n"
	repo.server.Create("demo", files)
	repo.server.Git("demo", "branch", "preview", "main")
	side := startUpdatingSidecar(t, reg, repo.server)
	server := Start(t, side.sockets)

	preview := repo.request(repo.source("helm"))
	preview.Revision = "preview"
	got, err := server.Generate(t.Context(), preview)
	wantImage(t, got, err, echoServer+":v1.0")
	unbound := repo.request(repo.source("helm", param("echoserver.kustomize.image-name", "x")))
	*unbound.Source.Plugin.Parameters[1].String_ = "git:secret:other/creds"
	if _, err := server.Generate(t.Context(), unbound); err != nil {
		t.Error(err) // renders stay green; the status tells
	}
	if _, err := server.Generate(t.Context(), repo.request(repo.source("tree"))); err == nil || !strings.Contains(err.Error(), ".argocd-source.yaml") {
		t.Errorf("a write-back parameter from the tree: %v", err)
	}
	announced := repo.request(repo.source("helm"))
	announced.App = "announced"
	if names, err := server.Details(t.Context(), announced); err != nil || !slices.Contains(names, "image-list") {
		t.Errorf("announced: %q, %v", names, err)
	}
	uploaded := repo.request(repo.source("helm"))
	uploaded.App, uploaded.Revision, uploaded.Target = "uploaded", "streamed", "main" // as argocd app manifests --local does
	got, err = server.Local(t.Context(), newCheckout(t, "../../examples/gitops-demo").dir, uploaded)
	wantImage(t, got, err, echoServer+":v1.0")

	side.waitForLog(t, "set git-branch: preview", 1)
	const checked = "Processing results" // twice more: one check may be under way
	side.waitForLog(t, checked, strings.Count(side.log.String(), checked)+2)
	if n := strings.TrimSpace(repo.server.Git("demo", "rev-list", "--count", "--all")); n != "1" {
		t.Errorf("%s commits, want 1:\n%s", n, repo.server.Git("demo", "log", "--all"))
	}
}
