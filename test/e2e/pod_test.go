package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A podTemplate is what the kubelet reads of argocd-repo-server.
type podTemplate struct {
	Spec struct {
		Template struct {
			Metadata struct{ Annotations map[string]string }
			Spec     struct {
				Containers []container
				Volumes    []volume
			}
		}
	}
}

type container struct {
	Name string
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   *struct {
			ConfigMapKeyRef, SecretKeyRef *keyRef
		}
	}
	VolumeMounts []struct{ Name, MountPath string }
}

type keyRef struct {
	Name, Key string
	Optional  bool
}

// A volume is an emptyDir unless one of its sources is there.
type volume struct {
	Name string
	source
	Projected *struct{ Sources []source }
}

type source struct {
	ConfigMap, Secret *struct {
		Name, SecretName string
		Optional         bool
		Items            []struct{ Key, Path string }
	}
}

// A kubelet runs the container tagpin of argocd-repo-server as the Deployment in the cluster describes it: its arguments, its
// environment, its volumes with what ConfigMaps and Secrets say at the moment, its read-only root. Another template is another pod.
type kubelet struct {
	w       *world
	current string // a digest of the template that runs
}

// followDeployment begins to run what the Deployment argocd-repo-server says of tagpin.
func (w *world) followDeployment() {
	w.t.Helper()
	k := &kubelet{w: w}
	w.followed.Store(true)
	done, ended := make(chan struct{}), make(chan struct{})
	w.t.Cleanup(func() {
		close(done)
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
				if err := k.sync(); err != nil {
					w.logKubelet(err)
				}
			}
		}
	}()
}

func (w *world) logKubelet(err error) {
	f, openErr := os.OpenFile(filepath.Join(w.logs, "kubelet.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if openErr != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, time.Now().Format(time.TimeOnly), err)
}

// sync makes files and process what the cluster says.
func (k *kubelet) sync() error {
	raw, err := k.w.cluster.do(http.MethodGet, deploymentPath, "", nil)
	if errors.Is(err, errNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var d podTemplate
	var o object
	if err := errors.Join(json.Unmarshal(raw, &d), json.Unmarshal(raw, &o)); err != nil {
		return err
	}
	pod := d.Spec.Template.Spec
	i := slices.IndexFunc(pod.Containers, func(c container) bool { return c.Name == "tagpin" })
	if i < 0 {
		return k.w.cluster.settleOne(deploymentPath, "deployments", o)
	}
	for _, v := range pod.Volumes {
		if err := k.fill(v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	template, err := json.Marshal(d.Spec.Template)
	if err != nil {
		return err
	}
	if digest := fmt.Sprintf("%x", sha256.Sum256(template)); digest != k.current {
		if err := k.restart(pod.Containers[i]); err != nil {
			return err
		}
		k.current = digest
	}
	if _, err := os.Stat(filepath.Join(k.dir("plugins"), "tagpin.sock")); err != nil {
		return nil // it starts, or it has ended
	}
	return k.w.cluster.settleOne(deploymentPath, "deployments", o)
}

const deploymentPath = "/apis/apps/v1/namespaces/argocd/deployments/" + repoServer

// dir is where a volume lies. The repo-server's own process uses the one of the plugins, and the one of the askpass socket.
func (k *kubelet) dir(volume string) string { return k.w.path("volumes", volume) }

// fill writes a volume's files, all at once, as the kubelet does: through a link that is replaced.
func (k *kubelet) fill(v volume) error {
	sources := []source{v.source}
	if v.Projected != nil {
		sources = v.Projected.Sources
	}
	files := map[string][]byte{}
	for _, s := range sources {
		if err := k.read(s, files); err != nil {
			return err
		}
	}
	dir := k.dir(v.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if len(files) == 0 && v.Projected == nil {
		return nil // an emptyDir
	}
	sum, err := json.Marshal(files)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("..%.10x", sha256.Sum256(sum))
	if now, err := os.Readlink(filepath.Join(dir, "..data")); err == nil && now == name {
		return nil
	}
	return replaceFiles(dir, name, files)
}

func replaceFiles(dir, name string, files map[string][]byte) error {
	tops := map[string]bool{}
	for path, content := range files {
		at := filepath.Join(dir, name, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, content, 0o644); err != nil {
			return err
		}
		top, _, _ := strings.Cut(path, "/")
		tops[top] = true
	}
	if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
		return err
	}
	if err := relink(name, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	for _, top := range slices.Sorted(maps.Keys(tops)) {
		if err := relink(filepath.Join("..data", top), filepath.Join(dir, top)); err != nil {
			return err
		}
	}
	return nil
}

func relink(target, link string) error {
	_ = os.Remove(link + ".new")
	if err := os.Symlink(target, link+".new"); err != nil {
		return err
	}
	return os.Rename(link+".new", link)
}

// read adds the files of a ConfigMap or a Secret.
func (k *kubelet) read(s source, files map[string][]byte) error {
	kind, ref := "configmaps", s.ConfigMap
	if s.Secret != nil {
		kind, ref = "secrets", s.Secret
	}
	if ref == nil {
		return nil
	}
	name := ref.Name + ref.SecretName
	data, err := k.data(kind, name)
	if errors.Is(err, errNotFound) && ref.Optional {
		return nil
	}
	if err != nil {
		return err
	}
	if ref.Items == nil {
		maps.Copy(files, data)
	}
	for _, item := range ref.Items {
		if content, ok := data[item.Key]; ok {
			files[item.Path] = content
		}
	}
	return nil
}

func (k *kubelet) data(kind, name string) (map[string][]byte, error) {
	var o struct{ Data map[string]string }
	if err := k.w.cluster.get("/api/v1/namespaces/argocd/"+kind+"/"+name, &o); err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for key, value := range o.Data {
		content := []byte(value)
		if kind == "secrets" {
			var err error
			if content, err = base64.StdEncoding.DecodeString(value); err != nil {
				return nil, err
			}
		}
		out[key] = content
	}
	return out, nil
}

// hurry makes the tests wait less than people would.
var hurry = []string{"TAGPIN_INTERVAL=3s", "TAGPIN_CACHE_TTL=1s", "TAGPIN_PUSH_DISTANCE=1s"}

// environment is the container's.
func (k *kubelet) environment(c container) ([]string, error) {
	env := append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp"}, hurry...)
	for _, e := range c.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			kind, ref := "configmaps", from.ConfigMapKeyRef
			if from.SecretKeyRef != nil {
				kind, ref = "secrets", from.SecretKeyRef
			}
			if ref == nil {
				return nil, fmt.Errorf("%s: neither ConfigMap nor Secret", e.Name)
			}
			data, err := k.data(kind, ref.Name)
			content, found := data[ref.Key]
			switch {
			case err != nil && !errors.Is(err, errNotFound):
				return nil, err
			case !found && !ref.Optional:
				return nil, fmt.Errorf("%s: no key %s in %s", e.Name, ref.Key, ref.Name)
			case !found:
				continue
			}
			value = string(content)
		}
		env = append(env, e.Name+"="+value)
	}
	return env, nil
}

// restart replaces the container's process.
func (k *kubelet) restart(c container) error {
	env, err := k.environment(c)
	if err != nil {
		return err
	}
	if old := k.w.sidecar.Load(); old != nil {
		old.stop()
	}
	run := containerRun{
		Root: k.w.path("root"), Env: env, Args: []string{"/image/tagpin"}, Mounts: map[string]string{},
		Image: map[string]string{
			"/image/tagpin": k.w.tagpin,
			"/home/argocd/cmp-server/config/plugin.yaml": filepath.Join(moduleRoot(k.w.t), "plugin.yaml"),
		},
	}
	for _, a := range c.Args {
		run.Args = append(run.Args, expand(a, env))
	}
	for _, m := range c.VolumeMounts {
		run.Mounts[m.MountPath] = k.dir(m.Name)
	}
	if err := os.MkdirAll(run.Root, 0o755); err != nil {
		return err
	}
	cmd, err := run.command()
	if err != nil {
		return err
	}
	p, err := k.w.launch("tagpin", cmd)
	if err != nil {
		return err
	}
	k.w.sidecar.Store(p)
	k.w.write("sidecar.pid", fmt.Sprint(p.cmd.Process.Pid))
	return nil
}
