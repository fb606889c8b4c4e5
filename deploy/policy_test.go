package deploy_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tagpin/tagpin/deploy/argocd"
)

// A peer is who connects: a pod beside Argo CD, or anybody else.
type peer map[string]string

var (
	stranger   = peer(nil)
	controller = peer{"app.kubernetes.io/name": "argocd-application-controller"}
)

// admits says whether the NetworkPolicies let a peer reach a port of the pods of a Deployment.
func (o objects) admits(t *testing.T, deployment string, from peer, port int) bool {
	t.Helper()
	pod := labels.Set(as[*appsv1.Deployment](t, o, "Deployment/"+deployment).Spec.Template.Labels)
	isolated := false
	for key := range o {
		if !strings.HasPrefix(key, "NetworkPolicy/") {
			continue
		}
		spec := as[*networkingv1.NetworkPolicy](t, o, key).Spec
		if !selects(t, &spec.PodSelector, pod) {
			continue
		}
		isolated = true
		for _, rule := range spec.Ingress {
			if hasPort(rule.Ports, port) && hasPeer(t, rule.From, from) {
				return true
			}
		}
	}
	return !isolated
}

func selects(t *testing.T, s *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(set)
}

func hasPort(ports []networkingv1.NetworkPolicyPort, port int) bool {
	for _, p := range ports {
		if p.Port == nil || p.Port.IntValue() == port {
			return true
		}
	}
	return len(ports) == 0
}

// hasPeer takes a namespace selector, which here is always that of all namespaces, for everybody in the cluster.
func hasPeer(t *testing.T, peers []networkingv1.NetworkPolicyPeer, from peer) bool {
	t.Helper()
	for _, p := range peers {
		if p.NamespaceSelector != nil || from != nil && selects(t, p.PodSelector, labels.Set(from)) {
			return true
		}
	}
	return len(peers) == 0
}

// A registry reaches the hook's port and nothing more than before; Argo CD's own pods reach what they reached.
func TestWebhookComponent(t *testing.T) {
	each(t, small, func(t *testing.T, install string, plain objects) {
		all := kustomization{install: install, components: []string{"sidecar", "webhook"}}.build(t)
		for _, key := range all.changed(t, plain) {
			admit(t, all, key)
		}
		for _, port := range []int{8081, 8083, 8084} {
			if !all.admits(t, "argocd-repo-server", controller, port) && plain.admits(t, "argocd-repo-server", controller, port) {
				t.Errorf("Argo CD's controller reaches port %d no more", port)
			}
			before, now := plain.admits(t, "argocd-repo-server", stranger, port), all.admits(t, "argocd-repo-server", stranger, port)
			if want := before || port == 8083; now != want {
				t.Errorf("whether anybody reaches port %d: before %v, now %v", port, before, now)
			}
		}
		checkHookService(t, all, repoServer)
	})
}

// Prometheus reaches the port of metrics from wherever it runs in the cluster, and everybody reaches what they reached.
func TestMonitoringComponent(t *testing.T) {
	each(t, small, func(t *testing.T, install string, plain objects) {
		all := kustomization{install: install, components: []string{"sidecar", "monitoring"}}.build(t)
		for _, key := range all.changed(t, plain) {
			admit(t, all, key)
		}
		for _, port := range []int{8081, 8084} {
			if !all.admits(t, "argocd-repo-server", controller, port) && plain.admits(t, "argocd-repo-server", controller, port) {
				t.Errorf("Argo CD's controller reaches port %d no more", port)
			}
		}
		if !all.admits(t, "argocd-repo-server", controller, 8089) {
			t.Error("nobody reaches the port of metrics")
		}
		pod := as[*appsv1.Deployment](t, all, repoServer).Spec.Template
		service := as[*corev1.Service](t, all, "Service/tagpin-metrics").Spec
		if !labels.SelectorFromSet(service.Selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("the Service selects %v; the pod has %v", service.Selector, pod.Labels)
		}
		if addr := plainEnv(container(t, pod.Spec, "tagpin"))["TAGPIN_METRICS_ADDR"]; addr != ":8089" || service.Ports[0].TargetPort.IntValue() != 8089 {
			t.Errorf("tagpin listens on %s, and the Service sends to %v", addr, service.Ports[0].TargetPort)
		}
	})
}

// checkHookService: what comes to the Service reaches the port that the Deployment's tagpin opens.
func checkHookService(t *testing.T, all objects, deployment string) {
	t.Helper()
	pod := as[*appsv1.Deployment](t, all, deployment).Spec.Template
	service := as[*corev1.Service](t, all, "Service/tagpin-webhook").Spec
	if !labels.SelectorFromSet(service.Selector).Matches(labels.Set(pod.Labels)) {
		t.Errorf("the Service selects %v; the pod has %v", service.Selector, pod.Labels)
	}
	c := container(t, pod.Spec, "tagpin")
	if addr := plainEnv(c)["TAGPIN_WEBHOOK_ADDR"]; addr != ":8083" || service.Ports[0].TargetPort.IntValue() != 8083 {
		t.Errorf("tagpin listens on %s, and the Service sends to %v", addr, service.Ports[0].TargetPort)
	}
}

// Where Argo CD's own policies are not installed everybody may connect, and a component must not change that: a policy of its
// own would shut out all the others.
func TestWithoutPolicies(t *testing.T) {
	var install []string
	for _, document := range strings.Split(read(t, manifests(t, argocd.Releases()[0]), "namespace-install.yaml"), "\n---\n") {
		if !strings.Contains(document, "kind: NetworkPolicy") {
			install = append(install, document)
		}
	}
	all := kustomization{install: strings.Join(install, "\n---\n"), components: []string{"sidecar", "webhook"}}.build(t)
	for _, port := range []int{8081, 8083} {
		if !all.admits(t, "argocd-repo-server", controller, port) {
			t.Errorf("Argo CD's controller is shut out of port %d", port)
		}
	}
}
