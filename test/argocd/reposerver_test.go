package argocd

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/program"
)

const (
	acrHost    = "registry.cn-hangzhou.aliyuncs.com"
	echoRepo   = "haoshuwei24/echo-server"
	echoServer = acrHost + "/" + echoRepo
	ttl        = 500 * time.Millisecond
)

// secretsWith makes a secrets directory with the Secret argocd/acr.
func secretsWith(t *testing.T, login string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "argocd", "acr"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "argocd", "acr", "acr"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const acrSecret = "secret:argocd/acr#acr"

// viaTagpin is the source of an application that tagpin renders.
func viaTagpin(path string, parameters ...v1alpha1.ApplicationSourcePluginParameter) v1alpha1.ApplicationSource {
	parameters = append([]v1alpha1.ApplicationSourcePluginParameter{
		param("image-list", "echoserver="+echoServer),
		param("write-back-method", "none"),
	}, parameters...)
	return v1alpha1.ApplicationSource{Path: path, Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "tagpin", Parameters: parameters}}
}

func param(name, value string) v1alpha1.ApplicationSourcePluginParameter {
	return v1alpha1.ApplicationSourcePluginParameter{Name: name, String_: &value}
}

// images are those of all pod templates, sorted.
func images(t *testing.T, manifests []string) []string {
	t.Helper()
	var found []string
	for _, m := range manifests {
		var object struct {
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct{ Image string }
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(m), &object); err != nil {
			t.Fatal(err)
		}
		for _, c := range object.Spec.Template.Spec.Containers {
			found = append(found, c.Image)
		}
	}
	slices.Sort(found)
	return found
}

func wantImage(t *testing.T, manifests []string, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got := images(t, manifests); !slices.Equal(got, []string{want}) {
		t.Fatalf("images %v, want %s", got, want)
	}
}

// A pushed tag is in the manifests of the next render that Argo CD asks for, and Argo CD asks for none while the commit is in
// its cache.
func TestPushedTagIsRendered(t *testing.T) {
	const ttl = 2 * time.Second
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	side := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password), "--cache-ttl", ttl.String())
	git := newCheckout(t, "../../examples/gitops-demo")
	git.commit("gitops-demo")
	server := Start(t, side.sockets)

	for _, path := range []string{"helm", "kustomize/overlays/prod"} {
		request := Request{RepoURL: git.url(), Source: viaTagpin(path)}
		got, err := server.Generate(t.Context(), request)
		wantImage(t, got, err, echoServer+":v1.0")
	}

	reg.Push(echoRepo, "v2.0", acr.Image{})
	time.Sleep(ttl)
	reg.Reset()
	for _, path := range []string{"helm", "kustomize/overlays/prod"} {
		request := Request{RepoURL: git.url(), Source: viaTagpin(path)}
		got, err := server.Generate(t.Context(), request)
		wantImage(t, got, err, echoServer+":v1.0")
		if n := reg.Counts().Total(); n != 0 && path == "helm" {
			t.Errorf("a render from Argo CD's cache cost %d registry requests", n)
		}
		request.NoCache = true
		got, err = server.Generate(t.Context(), request)
		wantImage(t, got, err, echoServer+":v2.0")
	}
}

// With a long tag list and no Link header, as ACR answers, every tag is considered.
func TestLongTagListWithoutLink(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.PushMany(echoRepo, 1500, time.Now().Add(-24*time.Hour))
	side := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password))
	git := newCheckout(t, "../../examples/gitops-demo")
	git.commit("gitops-demo")
	got, err := Start(t, side.sockets).Generate(t.Context(), Request{RepoURL: git.url(), Source: viaTagpin("helm")})
	wantImage(t, got, err, echoServer+":v0.0.1499")
}

// native is what the repo-server renders itself when it is given the same images by its own means.
func native(path string, helm *v1alpha1.ApplicationSourceHelm, kustomize *v1alpha1.ApplicationSourceKustomize) v1alpha1.ApplicationSource {
	return v1alpha1.ApplicationSource{Path: path, Helm: helm, Kustomize: kustomize}
}

// Apart from the images the manifests are those of the repo-server's own Helm and Kustomize; here the repo-server gets the
// image as well, so that nothing may differ.
func TestSameAsNative(t *testing.T) {
	program.Native(t)
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	reg.Push(echoRepo, "v2.0", acr.Image{})
	side := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password))
	git := newCheckout(t, "../../examples/gitops-demo")
	if err := os.CopyFS(filepath.Join(git.dir, "charts"), os.DirFS("../testdata/render")); err != nil {
		t.Fatal(err)
	}
	git.commit("gitops-demo")
	server := Start(t, side.sockets)

	helmImage := []v1alpha1.HelmParameter{
		{Name: "image.repository", Value: echoServer, ForceString: true},
		{Name: "image.tag", Value: "v2.0", ForceString: true},
	}
	kustomizeImage := v1alpha1.KustomizeImages{echoServer + ":v2.0"}
	array := func(name string, values ...string) v1alpha1.ApplicationSourcePluginParameter {
		return v1alpha1.ApplicationSourcePluginParameter{Name: name, OptionalArray: &v1alpha1.OptionalArray{Array: values}}
	}
	dict := func(name string, values map[string]string) v1alpha1.ApplicationSourcePluginParameter {
		return v1alpha1.ApplicationSourcePluginParameter{Name: name, OptionalMap: &v1alpha1.OptionalMap{Map: values}}
	}
	for name, c := range map[string]struct{ native, tagpin v1alpha1.ApplicationSource }{
		"helm": {
			native("helm", &v1alpha1.ApplicationSourceHelm{Parameters: helmImage}, nil),
			viaTagpin("helm"),
		},
		"helm release name and values": {
			native("helm", &v1alpha1.ApplicationSourceHelm{Parameters: helmImage, ReleaseName: "shop", Values: "replicaCount: 3\n"}, nil),
			viaTagpin("helm", param("helm.releaseName", "shop"), param("helm.values", "replicaCount: 3\n")),
		},
		"web shop": {
			native("charts/webshop", &v1alpha1.ApplicationSourceHelm{Parameters: helmImage}, nil),
			viaTagpin("charts/webshop"),
		},
		"web shop without tests and CRDs": {
			native("charts/webshop", &v1alpha1.ApplicationSourceHelm{Parameters: helmImage, SkipTests: true, SkipCrds: true}, nil),
			viaTagpin("charts/webshop", param("helm.skipTests", "true"), param("helm.skipCrds", "true")),
		},
		"kustomize": {
			native("kustomize/overlays/prod", nil, &v1alpha1.ApplicationSourceKustomize{Images: kustomizeImage}),
			viaTagpin("kustomize/overlays/prod"),
		},
		"kustomize prefix, labels, replicas": {
			native("kustomize/overlays/dev", nil, &v1alpha1.ApplicationSourceKustomize{
				Images: kustomizeImage, NamePrefix: "blue-", CommonLabels: map[string]string{"team": "shop"}, Namespace: "blue",
			}),
			viaTagpin("kustomize/overlays/dev", param("kustomize.namePrefix", "blue-"), param("kustomize.namespace", "blue"),
				dict("kustomize.commonLabels", map[string]string{"team": "shop"}), array("kustomize.images")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := server.Generate(t.Context(), Request{RepoURL: git.url(), Source: c.native})
			if err != nil {
				t.Fatalf("native: %v", err)
			}
			got, err := server.Generate(t.Context(), Request{RepoURL: git.url(), Source: c.tagpin})
			if err != nil {
				t.Fatalf("tagpin: %v", err)
			}
			if !slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, echoServer+":v2.0") }) {
				t.Error("the image is not in the manifests")
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tagpin differs from native (-native +tagpin):\n%s", diff)
			}
		})
	}
}

// Renders in parallel with a cold cache ask the registry for one list, and with a warm one for nothing.
func TestConcurrentRendersListOnce(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	side := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password), "--cache-ttl", "1h")
	git := newCheckout(t, "../../examples/gitops-demo")
	git.commit("gitops-demo")
	server := Start(t, side.sockets)
	errs := make(chan error)
	const renders = 100
	for i := range renders {
		go func() {
			_, err := server.Generate(context.WithoutCancel(t.Context()), Request{
				App: "app-" + string(rune('a'+i%26)) + string(rune('a'+i/26)), RepoURL: git.url(), Source: viaTagpin("helm"),
			})
			errs <- err
		}()
	}
	for range renders {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if c := reg.Counts(); c.List != 1 || c.Manifest != 0 || c.Blob != 0 {
		t.Errorf("%d renders cost %+v, want one list", renders, c)
	}
	reg.Reset()
	for _, path := range []string{"helm", "kustomize/overlays/prod"} {
		got, err := server.Generate(t.Context(), Request{RepoURL: git.url(), Source: viaTagpin(path), NoCache: true})
		wantImage(t, got, err, echoServer+":v1.0")
	}
	if n := reg.Counts().Total(); n != 0 {
		t.Errorf("renders with a warm cache cost %d requests", n)
	}
}

// With render workers an application whose template never ends, or takes all memory, is ended, and others never notice.
func TestHostileTemplates(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	side := startSidecar(t, reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password),
		"--render-workers", "--render-memory", "400Mi", "--render-timeout", "6s", "--max-concurrent-renders", "2")
	git := newCheckout(t, "../../examples/gitops-demo")
	for name, template := range map[string]string{
		"endless": `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`,
		"greedy":  `{{ $s := "xxxxxxxxxxxxxxxx" }}{{ range until 60 }}{{ $s = printf "%s%s" $s $s }}{{ end }}`,
	} {
		git.write(name+"/Chart.yaml", "apiVersion: v2\nname: "+name+"\nversion: 0.1.0\n")
		git.write(name+"/templates/x.yaml", template+"\n")
	}
	git.commit("hostile")
	server := Start(t, side.sockets)
	done := make(chan error, 2)
	for _, name := range []string{"endless", "greedy"} {
		go func() {
			_, err := server.Generate(context.WithoutCancel(t.Context()), Request{App: name, RepoURL: git.url(), Source: viaTagpin(name)})
			done <- err
		}()
	}
	got, err := server.Generate(t.Context(), Request{RepoURL: git.url(), Source: viaTagpin("helm")})
	wantImage(t, got, err, echoServer+":v1.0")
	var texts []string
	for range 2 {
		err := <-done
		if err == nil {
			t.Fatal("a hostile template rendered")
		}
		texts = append(texts, err.Error())
	}
	all := strings.Join(texts, "\n")
	for _, part := range []string{"application endless", "application greedy", "of memory", "deadline"} {
		if !strings.Contains(all, part) {
			t.Errorf("the errors lack %q:\n%s", part, all)
		}
	}
	got, err = server.Generate(t.Context(), Request{RepoURL: git.url(), Source: viaTagpin("kustomize/overlays/prod"), NoCache: true})
	wantImage(t, got, err, echoServer+":v1.0")
}
