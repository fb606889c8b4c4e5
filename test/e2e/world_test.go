package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/test/program"
)

// The logins of the documentation's user.
const (
	gitUser     = "you"
	gitPassword = "git-Canary-token"
	redisSecret = "redis-Canary-password"
)

// A world is a control plane, a registry and a Git server, with tagpin as the repo-server's plugin, until its test ends.
type world struct {
	t *testing.T
	*plane
}

// A plane is what the cases of a test share. Its processes end with the test that started it.
type plane struct {
	root      *testing.T
	line      line
	dir, logs string
	bin       string // Argo CD's and Kubernetes' programs
	tagpin    string
	tools     string // helm and kustomize
	source    string // Argo CD's module

	cluster  *cluster
	registry *acr.Server
	git      *gitserver.Server
	balancer balancer
	sidecar  atomic.Pointer[process]
	followed atomic.Bool // a kubelet runs the sidecar
}

// newWorld starts everything but tagpin: the cluster with Argo CD in it, the registry, and the Git server.
func newWorld(t *testing.T, l line) *world {
	t.Helper()
	if os.Getenv(envInside) == "" {
		t.Skip("make e2e runs this")
	}
	started := time.Now()
	w := &world{t, &plane{root: t, line: l, tagpin: program.Tagpin(t)}}
	w.directories()
	var err error
	if w.bin, err = l.dir(); err != nil {
		t.Fatal(err)
	}
	if w.tools, err = program.Tools(); err != nil {
		t.Fatal(err)
	}
	if w.source, err = l.source(); err != nil {
		t.Fatal(err)
	}
	kubernetes, err := v2.dir()
	if err != nil {
		t.Fatal(err)
	}
	w.copyScripts()
	t.Setenv("PATH", strings.Join([]string{w.bin, w.path("scripts"), kubernetes, filepath.Dir(w.tagpin), w.tools, os.Getenv("PATH")}, ":"))
	w.registry = acr.Start(t, acr.Options{Realm: acrRealm})
	w.git = gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword})
	serveNames(t, map[string]string{
		acrHost: w.registry.URL(), acrRealm: w.registry.URL(), gitHost: strings.TrimSuffix(w.git.URL("x"), "/x.git"),
		argocdHost: "http://127.0.0.1:" + argocdPort, hookHost: "http://127.0.0.1:" + hookPort, rawHost: w.serveManifests(),
	})
	w.startCluster()
	w.standIn()
	w.startArgoCD()
	t.Cleanup(func() { // what is known to Argo CD at the end, beside the logs
		if out, err := exec.Command("kubectl", "--kubeconfig", w.path("kubeconfig"), "get", "applications.argoproj.io", "-A", "-o", "yaml").Output(); err == nil {
			_ = os.WriteFile(filepath.Join(w.logs, "applications.yaml"), out, 0o600)
		}
	})
	t.Logf("the control plane is up after %.0f s; its logs are in %s", time.Since(started).Seconds(), w.logs)
	return w
}

// on is the same world for a part of the test.
func (w *world) on(t *testing.T) *world { return &world{t, w.plane} }

func (w *world) directories() {
	w.t.Helper()
	var err error
	if w.dir, err = os.MkdirTemp(os.Getenv(envInside), "w"); err != nil { // a short path: there are Unix sockets below it
		w.t.Fatal(err)
	}
	if w.logs = os.Getenv(envLogs); w.logs == "" {
		w.logs = filepath.Join(os.TempDir(), "tagpin-e2e-logs")
	}
	w.logs = filepath.Join(w.logs, w.t.Name())
	if err := os.RemoveAll(w.logs); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range []string{w.logs, w.path("home"), w.path("volumes", "plugins"), w.path("volumes", "tagpin-askpass"), w.path("tmp")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
}

// copyScripts makes the scripts of Argo CD's image programs: the repo-server of v3 runs one for each commit.
func (w *world) copyScripts() {
	w.t.Helper()
	for _, name := range []string{"git-verify-wrapper.sh", "gpg-wrapper.sh"} {
		script, err := os.ReadFile(filepath.Join(w.source, "hack", name))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.Chmod(w.write("scripts/"+name, string(script)), 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
}

// path is a place in the world's directory.
func (w *world) path(elements ...string) string {
	return filepath.Join(append([]string{w.dir}, elements...)...)
}

// write makes a file in the world's directory.
func (w *world) write(name, content string) string {
	w.t.Helper()
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// env is the environment of every program that runs in the world.
func (w *world) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + w.path("home"), "TMPDIR=" + w.path("tmp"), "KUBECONFIG=" + w.path("kubeconfig"),
		"ARGOCD_OPTS=--config " + w.path("argocd.config"),
		"GIT_AUTHOR_NAME=You", "GIT_AUTHOR_EMAIL=you@example.com", "GIT_COMMITTER_NAME=You", "GIT_COMMITTER_EMAIL=you@example.com",
	}
}

// startArgoCD installs Argo CD's own definitions and starts its processes, on the default project and no applications.
func (w *world) startArgoCD() {
	w.t.Helper()
	w.start("redis", nil, "redis-server", "--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--requirepass", redisSecret)
	w.kubectl("create", "namespace", "argocd")
	w.kubectl("-n", "argocd", "create", "secret", "generic", "argocd-redis", "--from-literal=auth="+redisSecret)
	w.kubectl("-n", "argocd", "apply", "--server-side", "-f", filepath.Join(w.source, "manifests", "install.yaml"))
	eventually(w.t, "Argo CD's resources", func() error { // kubectl wait fails on a definition without any condition yet
		_, err := w.try("kubectl", "get", "applications.argoproj.io,appprojects.argoproj.io,applicationsets.argoproj.io", "-A")
		return err
	})

	w.balancer.serve(w)
	w.startRepoServer(1)
	shared := []string{"ARGOCD_FAKE_IN_CLUSTER=true", "ARGOCD_GPG_ENABLED=false", "REDIS_PASSWORD=" + redisSecret, "ARGOCD_APPLICATION_NAMESPACES=argocd,teams"}
	backends := []string{"--repo-server", "127.0.0.1:" + repoServerPort, "--repo-server-plaintext", "--redis", "127.0.0.1:" + redisPort}
	server := w.start("argocd-server", shared, filepath.Join(w.bin, "argocd-server"), append(backends, "--insecure", "--kubeconfig", w.path("kubeconfig"),
		"--port", argocdPort, "--metrics-port", "8072", "--dex-server", "127.0.0.1:1")...)
	w.start("argocd-application-controller", shared, filepath.Join(w.bin, "argocd-application-controller"), append(backends,
		"--kubeconfig", w.path("kubeconfig"), "--metrics-port", "8073")...)
	w.start("argocd-applicationset-controller", shared, filepath.Join(w.bin, "argocd-applicationset-controller"), "--kubeconfig", w.path("kubeconfig"),
		"--argocd-repo-server", "127.0.0.1:"+repoServerPort, "--repo-server-plaintext", "--metrics-addr", ":8074", "--probe-addr", ":8075", "--webhook-addr", ":7000")
	server.ready(listens("127.0.0.1:" + argocdPort))
	w.login()
}

// serveManifests is where Argo CD's install manifests are published.
func (w *world) serveManifests() string {
	prefix := "/argoproj/argo-cd/v" + w.line.version + "/"
	s := httptest.NewServer(http.StripPrefix(prefix, http.FileServer(http.Dir(w.source))))
	w.root.Cleanup(s.Close)
	return s.URL
}

// startRepoServer starts a replica of the repo-server, which looks for plugins in its own directory. The first is replica 1.
func (w *world) startRepoServer(replica int) {
	w.t.Helper()
	at := replicaPort + fmt.Sprint(replica)
	p := w.start(fmt.Sprintf("argocd-repo-server-%d", replica), []string{
		"ARGOCD_GPG_ENABLED=false", "ARGOCD_PLUGINSOCKFILEPATH=" + w.volume(replica, "plugins"), "REDIS_PASSWORD=" + redisSecret,
		"ARGOCD_ASK_PASS_SOCK=" + w.askPass(replica), "TMPDIR=" + w.replicaDir(replica, "repo-server"),
	}, filepath.Join(w.bin, "argocd-repo-server"), append([]string{
		"--disable-tls", "--port", at, "--metrics-port", "809" + fmt.Sprint(replica), "--redis", "127.0.0.1:" + redisPort,
	}, w.line.repoServer...)...)
	p.ready(listens("127.0.0.1:" + at))
	w.balancer.add("127.0.0.1:" + at)
}

// volume is a directory that a replica of the repo-server shares with its sidecar.
func (w *world) volume(replica int, name string) string {
	if replica == 1 {
		return w.path("volumes", name)
	}
	return w.replicaDir(replica, name)
}

// replicaDir makes a directory of a replica's own.
func (w *world) replicaDir(replica int, name string) string {
	dir := w.path(fmt.Sprint("r", replica), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// login gives the argocd program the administrator's session.
func (w *world) login() {
	w.t.Helper()
	password := ""
	eventually(w.t, "the first password", func() (err error) {
		password, err = w.try("kubectl", "-n", "argocd", "get", "secret", "argocd-initial-admin-secret", "-o", "go-template={{.data.password|base64decode}}")
		return err
	})
	eventually(w.t, "logging in", func() error {
		_, err := w.try("argocd", "login", argocdHost+":"+argocdPort, "--plaintext", "--username", "admin", "--password", password)
		return err
	})
}

// argocd runs the argocd program as the administrator.
func (w *world) argocd(args ...string) string {
	w.t.Helper()
	return w.run("argocd", args...)
}

// askPass is the socket by which the repo-server lends its credentials.
func (w *world) askPass(replica int) string {
	return filepath.Join(w.volume(replica, "tagpin-askpass"), "reposerver-ask-pass.sock")
}

// startTagpin starts the sidecar of the one repo-server by hand, on files below config and secrets.
func (w *world) startTagpin(args ...string) {
	w.t.Helper()
	w.sidecar.Store(w.startReplica(1, args...))
}

// startReplica starts the sidecar of a replica.
func (w *world) startReplica(replica int, args ...string) *process {
	w.t.Helper()
	env := []string{"ARGOCD_ASK_PASS_SOCK=" + w.askPass(replica), "REDIS_PASSWORD=" + redisSecret}
	if replica > 1 {
		env = append(env, "TMPDIR="+w.replicaDir(replica, "tmp"))
	}
	p := w.start(fmt.Sprintf("tagpin-%d", replica), env, w.tagpin, append([]string{
		"serve", "--plugins-dir", w.volume(replica, "plugins"), "--config-dir", w.path("config"), "--secrets-dir", w.path("secrets"),
		"--settings", w.path("config", "tagpin.yaml"), "--work-dir", w.replicaDir(replica, "work"), "--git-cache-dir", w.replicaDir(replica, "git"),
	}, args...)...)
	p.ready(func() error {
		_, err := os.Stat(filepath.Join(w.volume(replica, "plugins"), "tagpin.sock"))
		return err
	})
	return p
}

// moduleRoot is the project's directory.
func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
