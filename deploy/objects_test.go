package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // what kube-apiserver knows
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	kyaml "sigs.k8s.io/yaml"
)

// objects are manifests by "Kind/name".
type objects map[string]map[string]any

// parse reads a stream of YAML documents.
func parse(t *testing.T, text []byte) objects {
	t.Helper()
	all := objects{}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o map[string]any
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if o == nil {
			continue
		}
		metadata, _ := o["metadata"].(map[string]any)
		key := o["kind"].(string) + "/" + metadata["name"].(string)
		if all[key] != nil {
			t.Fatalf("%s is there twice", key)
		}
		all[key] = o
	}
}

// changed are the names of what differs from before, what is new included. Nothing is ever removed.
func (o objects) changed(t *testing.T, before objects) []string {
	t.Helper()
	var names []string
	for key := range before {
		if o[key] == nil {
			t.Errorf("%s is gone", key)
		}
	}
	for key, object := range o {
		if !reflect.DeepEqual(object, before[key]) {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}

// as decodes an object strictly: an unknown or repeated field is an error.
func as[T any](t *testing.T, o objects, key string) T {
	t.Helper()
	var into T
	if o[key] == nil {
		t.Fatalf("there is no %s", key)
	}
	text, err := yaml.Marshal(o[key])
	if err != nil {
		t.Fatal(err)
	}
	if err := kyaml.UnmarshalStrict(text, &into); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return into
}

// admit holds an object to what kube-apiserver (of this module's version) asks of it before it stores it.
func admit(t *testing.T, o objects, key string) {
	t.Helper()
	object, validate := internal(t, o, key)
	if object == nil {
		return
	}
	for _, problem := range validate() {
		t.Errorf("%s: %v", key, problem)
	}
}

func internal(t *testing.T, o objects, key string) (runtime.Object, func() field.ErrorList) {
	t.Helper()
	kind, _, _ := strings.Cut(key, "/")
	switch kind {
	case "Deployment":
		d := convert(t, as[*appsv1.Deployment](t, o, key), &apps.Deployment{})
		return d, func() field.ErrorList {
			return appsvalidation.ValidateDeployment(d, corevalidation.PodValidationOptions{})
		}
	case "ConfigMap":
		m := convert(t, as[*corev1.ConfigMap](t, o, key), &core.ConfigMap{})
		return m, func() field.ErrorList { return corevalidation.ValidateConfigMap(m) }
	case "Service":
		s := convert(t, as[*corev1.Service](t, o, key), &core.Service{})
		return s, func() field.ErrorList { return serviceErrors(s) }
	case "NetworkPolicy":
		p := convert(t, as[*networkingv1.NetworkPolicy](t, o, key), &networking.NetworkPolicy{})
		return p, func() field.ErrorList {
			return networkingvalidation.ValidateNetworkPolicy(p, networkingvalidation.NetworkPolicyValidationOptions{})
		}
	}
	t.Errorf("%s: nothing here validates a %s", key, kind)
	return nil, nil
}

// serviceErrors stands in for the API server's allocator, which gives a Service its address before it is validated.
func serviceErrors(s *core.Service) field.ErrorList {
	s.Spec.ClusterIP, s.Spec.ClusterIPs = core.ClusterIPNone, []string{core.ClusterIPNone}
	single := core.IPFamilyPolicySingleStack
	s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = []core.IPFamily{core.IPv4Protocol}, &single
	return corevalidation.ValidateServiceCreate(s)
}

// convert sets the defaults of a stored object and makes the API server's own form of it.
func convert[T interface {
	runtime.Object
	SetNamespace(string)
}](t *testing.T, from runtime.Object, into T) T {
	t.Helper()
	legacyscheme.Scheme.Default(from)
	if err := legacyscheme.Scheme.Convert(from, into, schema.GroupVersion{}); err != nil {
		t.Fatal(err)
	}
	into.SetNamespace("argocd")
	return into
}
