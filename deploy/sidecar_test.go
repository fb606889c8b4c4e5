package deploy_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

const repoServer = "Deployment/argocd-repo-server"

// The component adds its own objects, changes the two of Argo CD's that it must, and nothing else: no role, no binding, no
// service account.
func TestSidecarComponent(t *testing.T) {
	each(t, slices.Concat(small, large), func(t *testing.T, install string, plain objects) {
		all := kustomization{install: install, components: []string{"sidecar"}}.build(t)
		changed := all.changed(t, plain)
		want := []string{"ConfigMap/argocd-cmd-params-cm", "ConfigMap/tagpin-cm", "ConfigMap/tagpin-registries-cm", repoServer}
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("changed objects (-want +got):\n%s", diff)
		}
		for _, key := range changed {
			admit(t, all, key)
		}
		if got := as[*corev1.ConfigMap](t, all, "ConfigMap/argocd-cmd-params-cm").Data["reposerver.plugin.tar.exclusions"]; got != ".git/*" {
			t.Errorf("plugins get %q excluded", got)
		}
		before, after := as[*appsv1.Deployment](t, plain, repoServer), as[*appsv1.Deployment](t, all, repoServer)
		checkRepoServer(t, before, after)
		checkSidecar(t, after.Spec.Template.Spec)
		pod := after.Spec.Template.Spec
		checkRedis(t, container(t, pod, "argocd-repo-server"), container(t, pod, "tagpin"))
	})
}

// checkRepoServer: Argo CD's own containers and volumes are what they were, but for the askpass socket's new place.
func checkRepoServer(t *testing.T, before, after *appsv1.Deployment) {
	t.Helper()
	b, a := &before.Spec.Template.Spec, &after.Spec.Template.Spec
	main := &b.Containers[0]
	main.Env = append(main.Env, corev1.EnvVar{Name: "ARGOCD_ASK_PASS_SOCK", Value: "/askpass/reposerver-ask-pass.sock"})
	main.VolumeMounts = append(main.VolumeMounts, corev1.VolumeMount{Name: "tagpin-askpass", MountPath: "/askpass"})
	for _, v := range a.Volumes {
		if strings.HasPrefix(v.Name, "tagpin-") {
			b.Volumes = append(b.Volumes, v)
		}
	}
	grace := int64(60)
	b.Containers = append(b.Containers, container(t, *a, "tagpin"))
	b.TerminationGracePeriodSeconds = &grace
	before.Spec.Template.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": main.Name}
	if diff := cmp.Diff(before, after, unordered()); diff != "" {
		t.Errorf("the Deployment differs in more than it should (-want +got):\n%s", diff)
	}
}

// unordered leaves out what kustomize chooses: where in a list it puts what a patch adds.
func unordered() cmp.Option {
	return cmp.Options{
		cmpopts.SortSlices(func(a, b corev1.Container) bool { return a.Name < b.Name }),
		cmpopts.SortSlices(func(a, b corev1.EnvVar) bool { return a.Name < b.Name }),
		cmpopts.SortSlices(func(a, b corev1.Volume) bool { return a.Name < b.Name }),
		cmpopts.SortSlices(func(a, b corev1.VolumeMount) bool { return a.MountPath < b.MountPath }),
	}
}

// checkSidecar holds the container to the restricted Pod Security Standard, to what Argo CD's user may do, and to mounts that
// share no more than they must.
func checkSidecar(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	restricted(t, pod)
	c := container(t, pod, "tagpin")
	checkUser(t, c)
	if token := pod.AutomountServiceAccountToken; token == nil || *token {
		t.Error("the pod gets a service account token")
	}
	kinds := mounts(t, pod, c)
	want := map[string]string{
		"/home/argocd/cmp-server/plugins": "emptyDir", "/tmp": "emptyDir", "/askpass": "emptyDir",
		"/etc/tagpin": "projected, read-only", "/app/secrets/argocd": "projected, read-only",
		"/app/config/ssh": "configMap, read-only", "/app/config/tls": "configMap, read-only",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	// What the repo-server has beside this in common: the socket of the plugin and the one that lends credentials.
	var shared []string
	for _, m := range c.VolumeMounts {
		for _, other := range container(t, pod, "argocd-repo-server").VolumeMounts {
			if m.Name == other.Name && !m.ReadOnly {
				shared = append(shared, m.Name)
			}
		}
	}
	slices.Sort(shared)
	if diff := cmp.Diff([]string{"plugins", "tagpin-askpass"}, shared); diff != "" {
		t.Errorf("writable volumes in common (-want +got):\n%s", diff)
	}
	checkMemory(t, c)
	checkProbe(t, c)
	checkSecrets(t, pod, slices.Concat(registrySecrets, gitSecrets, webhookSecrets)...)
}

// checkUser asks for more than the standard does: Argo CD's own user, and a root that can't be written to.
func checkUser(t *testing.T, c corev1.Container) {
	t.Helper()
	s := c.SecurityContext
	if s == nil || *s.RunAsUser != 999 || *s.RunAsGroup != 999 || !*s.ReadOnlyRootFilesystem || *s.Privileged {
		t.Errorf("security context: %+v", s)
	}
}

// restricted evaluates the pod by the rules of Pod Security Admission.
func restricted(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		t.Fatal(err)
	}
	level := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &metav1.ObjectMeta{}, &pod) {
		if !result.Allowed {
			t.Errorf("not restricted: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

// mounts says what kind of volume is at which path.
func mounts(t *testing.T, pod corev1.PodSpec, c corev1.Container) map[string]string {
	t.Helper()
	kinds := map[string]string{}
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			t.Fatalf("%s is mounted at %s, and no volume", m.Name, m.MountPath)
		}
		if m.SubPath != "" {
			t.Errorf("%s is mounted with subPath, which the kubelet never updates", m.Name)
		}
		source := reflect.ValueOf(pod.Volumes[i].VolumeSource)
		for f := range source.NumField() {
			if !source.Field(f).IsNil() {
				name := source.Type().Field(f).Name
				kinds[m.MountPath] = strings.ToLower(name[:1]) + name[1:]
			}
		}
		if m.ReadOnly {
			kinds[m.MountPath] += ", read-only"
		}
	}
	return kinds
}

// checkProbe: the kubelet asks the port that tagpin opens, and no readiness takes the repo-server with it.
func checkProbe(t *testing.T, c corev1.Container) {
	t.Helper()
	probe := c.LivenessProbe
	if probe == nil || probe.HTTPGet == nil || ":"+probe.HTTPGet.Port.String() != plainEnv(c)["TAGPIN_METRICS_ADDR"] || probe.HTTPGet.Path != "/healthz" {
		t.Errorf("probe %+v, environment %v", probe, plainEnv(c))
	}
	if c.ReadinessProbe != nil {
		t.Error("a sidecar that isn't ready takes all other applications out of service")
	}
}

// checkMemory: the workers that render at a time, each at its bound, fit below the limit with half a GiB for the rest.
func checkMemory(t *testing.T, c corev1.Container) {
	t.Helper()
	env := plainEnv(c)
	renders, each := resource.MustParse(env["TAGPIN_MAX_CONCURRENT_RENDERS"]), resource.MustParse(env["TAGPIN_RENDER_MEMORY"])
	need := renders.Value()*each.Value() + 512<<20
	if limit := c.Resources.Limits.Memory().Value(); limit < need {
		t.Errorf("the memory limit is %d; %d renders of %d bytes need %d", limit, renders.Value(), each.Value(), need)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
		t.Error("no requests")
	}
}

var (
	registrySecrets = []string{"acr/acr"}
	gitSecrets      = []string{"git-creds/githubAppEnterpriseBaseUrl", "git-creds/githubAppID", "git-creds/githubAppInstallationID",
		"git-creds/githubAppPrivateKey", "git-creds/password", "git-creds/sshPrivateKey", "git-creds/username"}
	redisSecrets   = []string{"tagpin-redis/hmac-key"}
	webhookSecrets = []string{"tagpin-webhook/previous", "tagpin-webhook/secret"}
)

// checkSecrets: these are there and no others; each may be missing, and lies where its reference says, secret:argocd/<name>#<field>.
func checkSecrets(t *testing.T, pod corev1.PodSpec, want ...string) {
	t.Helper()
	var got []string
	i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "tagpin-secrets" })
	for _, s := range pod.Volumes[i].Projected.Sources {
		if s.Secret == nil || s.Secret.Optional == nil || !*s.Secret.Optional {
			t.Errorf("%s: what isn't an optional Secret would keep the pod from starting", s.String())
			continue
		}
		for _, item := range s.Secret.Items {
			if item.Path != s.Secret.Name+"/"+item.Key {
				t.Errorf("the field %s of %s lies at %s", item.Key, s.Secret.Name, item.Path)
			}
			got = append(got, item.Path)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of Secrets (-want +got):\n%s", diff)
	}
}

// checkRedis: the container asks the Redis that the repo-server asks, with its variables, but for how values are compressed there.
func checkRedis(t *testing.T, repoServer, c corev1.Container) {
	t.Helper()
	redis := func(c corev1.Container) map[string]corev1.EnvVar {
		vars := map[string]corev1.EnvVar{}
		for _, e := range c.Env {
			if strings.HasPrefix(e.Name, "REDIS") && e.Name != "REDIS_COMPRESSION" {
				vars[e.Name] = e
			}
		}
		return vars
	}
	if diff := cmp.Diff(redis(repoServer), redis(c)); diff != "" {
		t.Errorf("Redis (-repo-server +%s):\n%s", c.Name, diff)
	}
}

func container(t *testing.T, pod corev1.PodSpec, name string) corev1.Container {
	t.Helper()
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no container %s", name)
	}
	return pod.Containers[i]
}

func plainEnv(c corev1.Container) map[string]string {
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	return env
}
