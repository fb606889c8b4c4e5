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

// A render never waits for the registry or for Git: with both down, a commit renders as it did.
func TestPinnedRenderNeedsNobody(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	remote := gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword})
	side := startUpdatingSidecar(t, reg, remote)
	git := newCheckout(t, "../../examples/gitops-demo")
	git.write("helm/.argocd-source-gitops-demo.yaml", "pins:\n- image: "+echoServer+"\n  tag: v1.7\n")
	git.commit("pinned by a person")
	reg.Fail(acr.List, acr.Fault{Status: 503})
	reg.Reset()
	got, err := Start(t, side.sockets).Generate(t.Context(), Request{RepoURL: git.url(), Source: gitRepo{}.source("helm")})
	wantImage(t, got, err, echoServer+":v1.7")
}

// A commit renders the same forever: a history of random pins, edits and reverts is rendered twice, in random order, while
// tags come and go in the registry.
func TestCommitsRenderTheSameForever(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	remote := gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword})
	side := startUpdatingSidecar(t, reg, remote)
	server := Start(t, side.sockets)
	git := newCheckout(t, "../../examples/gitops-demo")
	git.commit("first")

	values := exampleFiles(t)["helm/values.yaml"]
	random := rand.New(rand.NewPCG(1, 2))
	type moment struct {
		revision string
		source   v1alpha1.ApplicationSource
	}
	var history []moment
	const pinFile = "helm/.argocd-source-gitops-demo.yaml"
	for i := range 50 {
		switch random.IntN(4) {
		case 0:
			git.write(pinFile, fmt.Sprintf("pins:\n- alias: echoserver\n  image: %s\n  tag: v1.%d\n", echoServer, i))
		case 1:
			git.write("helm/values.yaml", strings.Replace(values, `"v1.0"`, fmt.Sprintf(`"v0.%d"`, i), 1))
		case 2:
			_ = os.Remove(filepath.Join(git.dir, pinFile))
		default:
			git.write("notes.md", fmt.Sprint(i))
		}
		source := gitRepo{}.source("helm")
		if random.IntN(3) == 0 { // the Application was edited as well
			source = gitRepo{}.source("helm", param("helm.values", fmt.Sprintf("replicaCount: %d\n", i)))
		}
		git.git("add", "-A")
		git.git("commit", "-q", "--allow-empty", "-m", "change")
		history = append(history, moment{git.git("rev-parse", "HEAD"), source})
	}
	seen := map[string]string{}
	for round := range 2 {
		for _, i := range random.Perm(len(history)) {
			m := history[i]
			got, err := server.Generate(t.Context(), Request{RepoURL: git.url(), Revision: m.revision, Source: m.source, NoCache: true})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			key, text := fmt.Sprint(i), strings.Join(got, "\n")
			if round == 1 && seen[key] != text {
				t.Errorf("commit %d renders differently:\n%s\n\n%s", i, seen[key], text)
			}
			seen[key] = text
		}
		reg.Push(echoRepo, fmt.Sprintf("v%d.0", 7+round), acr.Image{})
	}
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
	side.waitForLog(t, "set git-branch: preview", 1)
	const checked = "Processing results" // twice more: one check may be under way
	side.waitForLog(t, checked, strings.Count(side.log.String(), checked)+2)
	if n := strings.TrimSpace(repo.server.Git("demo", "rev-list", "--count", "--all")); n != "1" {
		t.Errorf("%s commits, want 1:\n%s", n, repo.server.Git("demo", "log", "--all"))
	}
}
