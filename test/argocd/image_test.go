package argocd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
)

// An engine runs the image that make image-test has built: "docker", or "podman" with arguments.
type engine struct {
	image   string
	program []string
}

func testEngine(t *testing.T) engine {
	t.Helper()
	e := engine{os.Getenv("TAGPIN_IMAGE"), strings.Fields(os.Getenv("TAGPIN_ENGINE"))}
	if e.image == "" || len(e.program) == 0 {
		t.Skip("TAGPIN_IMAGE and TAGPIN_ENGINE name no image: make image-test does")
	}
	return e
}

func (e engine) command(args ...string) *exec.Cmd {
	return exec.Command(e.program[0], append(e.program[1:], args...)...)
}

// sidecarContainer is the container of the component.
func sidecarContainer(t *testing.T) corev1.Container {
	t.Helper()
	text, err := os.ReadFile("../../deploy/sidecar/repo-server.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var patch appsv1.Deployment
	if err := yaml.Unmarshal(text, &patch); err != nil {
		t.Fatal(err)
	}
	for _, c := range patch.Spec.Template.Spec.Containers {
		if c.Name == "tagpin" {
			return c
		}
	}
	t.Fatal("the component has no container tagpin")
	return corev1.Container{}
}

// start runs the image as the component's container: its user, security context, arguments, environment and mounts. volumes are
// directories of this machine. It has this machine's network, where the test's servers are.
func (e engine) start(t *testing.T, volumes map[string]string, env ...string) {
	t.Helper()
	c := sidecarContainer(t)
	name := filepath.Base(volumes["plugins"])
	args := []string{"run", "--rm", "--name", name, "--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"}
	s := c.SecurityContext
	args = append(args, "--user", fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup), "--security-opt", "no-new-privileges")
	if *s.ReadOnlyRootFilesystem {
		args = append(args, "--read-only")
	}
	for _, capability := range s.Capabilities.Drop {
		args = append(args, "--cap-drop", string(capability))
	}
	for _, m := range c.VolumeMounts {
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		if volumes[m.Name] == "" {
			t.Fatalf("the component mounts %s, and the test has nothing for it", m.Name)
		}
		args = append(args, "--volume", volumes[m.Name]+":"+m.MountPath+":"+mode)
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	for _, v := range env {
		args = append(args, "--env", v)
	}
	log := &syncBuffer{}
	cmd := e.command(append(append(args, e.image), c.Args...)...)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		out, err := e.command("stop", name).CombinedOutput()
		_ = cmd.Wait()
		if err != nil || t.Failed() {
			t.Logf("stopping: %v %s; the container's log:\n%s", err, out, log)
		}
		if strings.Contains(log.String(), gitPassword) {
			t.Error("the log gives the password away")
		}
	})
	waitForSocket(t, filepath.Join(volumes["plugins"], "tagpin.sock"), log)
}

// volume is a directory with files, as the kubelet makes one of ConfigMaps and Secrets. Without files it is one that uid 999
// may write to.
func volume(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := shortDir(t)
	mode := os.FileMode(0o755)
	if len(files) == 0 {
		mode = 0o777
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	for path, text := range files {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The image, run as the component runs it, does the main job: the real repo-server renders through its socket, and a pushed
// tag becomes a signed commit, by HTTP with a password and by SSH with a key.
func TestImage(t *testing.T) {
	e := testEngine(t)
	size, err := e.command("image", "inspect", "--format", "{{.Size}}", e.image).Output()
	if n, problem := strconv.Atoi(strings.TrimSpace(string(size))); err != nil || problem != nil || n > 200e6 {
		t.Errorf("the image has %s bytes, and should have less than 200 MB: %v", size, errors.Join(err, problem))
	}
	for _, transport := range []string{"http", "ssh"} {
		t.Run(transport, func(t *testing.T) {
			reg := acr.Start(t, acr.Options{})
			reg.Push(echoRepo, "v1.0", acr.Image{})
			repo := gitRepo{gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword, SSH: true}), "demo"}
			repo.server.Create("demo", exampleFiles(t))
			url, source := repo.server.URL("demo"), repo.source("helm")
			creds := map[string]string{"git-creds/username": gitUser, "git-creds/password": gitPassword}
			if transport == "ssh" {
				url = repo.server.SSHURL("demo")
				source = repo.source("helm", param("git-repository", url))
				creds = map[string]string{"git-creds/sshPrivateKey": string(repo.server.SSHKey)}
			}
			creds["acr/acr"], creds["signing/key"] = acr.User+":"+acr.Password, string(repo.server.SSHKey)
			volumes := map[string]string{
				"plugins": volume(t, nil), "tagpin-tmp": volume(t, nil), "tagpin-askpass": volume(t, nil), "tls-certs": volume(t, nil),
				"ssh-known-hosts": volume(t, map[string]string{"ssh_known_hosts": string(repo.server.KnownHosts)}),
				"tagpin-secrets":  volume(t, creds),
				"tagpin-config": volume(t, map[string]string{
					"registries.conf": reg.ConfFile(acrSecret, acrHost),
					"tagpin.yaml":     "bindings:\n- credential: secret:argocd/git-creds\n  kind: git\n  url: " + url + "\n",
				}),
			}
			e.start(t, volumes, "TAGPIN_INTERVAL=1s", "TAGPIN_PUSH_DISTANCE=1s", "TAGPIN_CACHE_TTL=1s",
				"TAGPIN_GIT_COMMIT_SIGNING_KEY=/app/secrets/argocd/signing/key", "TAGPIN_GIT_COMMIT_SIGNING_METHOD=ssh")
			checkContainer(t, e, filepath.Base(volumes["plugins"]))

			server, request, first := Start(t, volumes["plugins"]), repo.request(source), repo.server.Tip("demo", "main")
			got, err := server.Generate(t.Context(), request)
			wantImage(t, got, err, echoServer+":v1.0")
			pinned := repo.waitForTip(t, first)
			reg.Push(echoRepo, "v2.0", acr.Image{})
			repo.waitForTip(t, pinned)
			got, err = server.Generate(t.Context(), request)
			wantImage(t, got, err, echoServer+":v2.0")
			if commit := repo.server.Git("demo", "cat-file", "commit", "main"); !strings.Contains(commit, "BEGIN SSH SIGNATURE") {
				t.Errorf("not signed:\n%s", commit)
			}
		})
	}
}

// checkContainer looks at the process as the kernel sees it.
func checkContainer(t *testing.T, e engine, name string) {
	t.Helper()
	out, err := e.command("exec", name, "sh", "-c", "while read -r line; do echo $line; done </proc/self/status; echo >/etc/x").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Read-only file system") {
		t.Errorf("its root can be written to: %v", err)
	}
	for _, line := range []string{"Uid: 999 999 999 999", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"} {
		if !strings.Contains(string(out), line+"\n") {
			t.Errorf("not %q:\n%s", line, out)
		}
	}
	if out, err := e.command("exec", name, "tagpin", "status").CombinedOutput(); err != nil {
		t.Errorf("tagpin status: %v: %s", err, out)
	}
}
