package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

const (
	updater     = "Deployment/tagpin-update"
	askPassSock = "ARGOCD_ASK_PASS_SOCK"
)

// The right to push lies in a pod that nobody connects to, and the repo-server's pod has no part of it.
func TestHardenedComponent(t *testing.T) {
	each(t, small, func(t *testing.T, install string, plain objects) {
		all := kustomization{install: install, components: []string{"hardened"}}.build(t)
		redis, policy := "argocd-redis", "NetworkPolicy/argocd-redis-network-policy"
		if plain[policy] == nil {
			redis, policy = "argocd-redis-ha-haproxy", "NetworkPolicy/argocd-redis-ha-proxy-network-policy"
		}
		want := []string{"ConfigMap/argocd-cmd-params-cm", "ConfigMap/tagpin-cm", "ConfigMap/tagpin-registries-cm", repoServer, updater,
			policy, "NetworkPolicy/tagpin-update-network-policy"}
		changed := all.changed(t, plain)
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("changed objects (-want +got):\n%s", diff)
		}
		for _, key := range changed {
			admit(t, all, key)
		}
		checkHardenedSidecar(t, as[*appsv1.Deployment](t, all, repoServer).Spec.Template.Spec)
		checkUpdater(t, all)
		from := peer(as[*appsv1.Deployment](t, all, updater).Spec.Template.Labels)
		if plain.admits(t, redis, from, 6379) || !all.admits(t, redis, from, 6379) || all.admits(t, redis, stranger, 6379) {
			t.Error("Redis must admit the updater, for this component alone, and no stranger")
		}
		if all.admits(t, "tagpin-update", stranger, 8083) || !all.admits(t, "tagpin-update", stranger, 8089) {
			t.Error("Prometheus may connect to the updater, and nobody else")
		}
	})
}

func checkHardenedSidecar(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	restricted(t, pod)
	c := container(t, pod, "tagpin")
	checkUser(t, c)
	checkMemory(t, c)
	checkProbe(t, c)
	checkSecrets(t, pod, slices.Concat(registrySecrets, redisSecrets)...)
	env := plainEnv(c)
	if env["TAGPIN_UPDATE_LOOP"] != "false" || env["TAGPIN_REPOCREDS"] != "false" {
		t.Errorf("the sidecar would push: %v", env)
	}
	for _, c := range pod.Containers {
		if _, lends := plainEnv(c)[askPassSock]; lends || mounts(t, pod, c)["/askpass"] != "" {
			t.Errorf("%s still has the askpass socket", c.Name)
		}
	}
}

func checkUpdater(t *testing.T, all objects) {
	t.Helper()
	pod := as[*appsv1.Deployment](t, all, updater).Spec.Template.Spec
	restricted(t, pod)
	c := container(t, pod, "tagpin")
	checkUser(t, c)
	checkSecrets(t, pod, slices.Concat(registrySecrets, gitSecrets, webhookSecrets, redisSecrets)...)
	server := as[*appsv1.Deployment](t, all, repoServer).Spec.Template.Spec
	checkRedis(t, container(t, server, "argocd-repo-server"), c)
	sidecar := container(t, server, "tagpin")
	env, other := plainEnv(c), plainEnv(sidecar)
	if c.Image != sidecar.Image || env["TAGPIN_REDIS_HMAC_KEY"] != other["TAGPIN_REDIS_HMAC_KEY"] {
		t.Errorf("updater and sidecar don't fit: %s and %s, %v and %v", c.Image, sidecar.Image, env, other)
	}
	want := map[string]string{
		"/tmp": "emptyDir", "/etc/tagpin": "projected, read-only", "/app/secrets/argocd": "projected, read-only",
		"/app/config/ssh": "configMap, read-only", "/app/config/tls": "configMap, read-only",
	}
	if diff := cmp.Diff(want, mounts(t, pod, c)); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if token := pod.AutomountServiceAccountToken; token == nil || *token {
		t.Error("the pod gets a service account token")
	}
}

// The hook's port belongs to who runs the update loop.
func TestHardenedWebhookComponent(t *testing.T) {
	each(t, small, func(t *testing.T, install string, plain objects) {
		all := kustomization{install: install, components: []string{"hardened", "hardened-webhook"}}.build(t)
		for _, key := range all.changed(t, plain) {
			admit(t, all, key)
		}
		checkHookService(t, all, updater)
		if !all.admits(t, "tagpin-update", stranger, 8083) || all.admits(t, "tagpin-update", stranger, 8080) {
			t.Error("a registry must reach the hook's port, and nobody another one")
		}
		if all.admits(t, "argocd-repo-server", stranger, 8083) || strings.Contains(plainEnv(container(t,
			as[*appsv1.Deployment](t, all, repoServer).Spec.Template.Spec, "tagpin"))["TAGPIN_WEBHOOK_ADDR"], ":") {
			t.Error("the sidecar has a hook's port as well")
		}
	})
}
