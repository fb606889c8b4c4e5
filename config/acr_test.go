package config

import (
	"strings"
	"testing"
)

func TestACRInstances(t *testing.T) {
	s, err := Parse("tagpin.yaml", []byte(`acr:
  instances:
  - instance-id: cri-demo1
    name: demo
    region: cn-shanghai
    auth: rrsa
  - {instance-id: cri-2, name: my-registry, region: cn-shanghai, auth: "secret:argocd/acr-ram", endpoint: CR-vpc.cn-shanghai.aliyuncs.com}
`))
	if err != nil {
		t.Fatal(err)
	}
	first, ok := s.ACR.Instance("cri-demo1")
	if !ok || !first.Auth.RRSA || first.Auth.String() != "rrsa" || first.Endpoint != "" {
		t.Errorf("%+v", first)
	}
	second, ok := s.ACR.Named("my-registry", "cn-shanghai")
	if !ok || second.ID != "cri-2" || second.Auth.RRSA || second.Auth.String() != "secret:argocd/acr-ram" || second.Endpoint != "cr-vpc.cn-shanghai.aliyuncs.com" {
		t.Errorf("%+v", second)
	}
	for _, miss := range [][2]string{{"demo", "cn-hangzhou"}, {"dem", "cn-shanghai"}} {
		if i, ok := s.ACR.Named(miss[0], miss[1]); ok {
			t.Errorf("%v: %+v", miss, i)
		}
	}
	if _, ok := s.ACR.Instance("cri-3"); ok {
		t.Error("found what is not there")
	}
}

func TestACRInstanceErrors(t *testing.T) {
	const good = "instance-id: cri-demo1, name: demo, region: cn-shanghai, auth: rrsa"
	for _, c := range []struct{ entries, want string }{
		{"[{}]", "this instance lacks instance-id and name and region and auth"},
		{"[{instance-id: cri-demo1, name: demo, region: cn-shanghai}]", "this instance lacks auth"},
		{"[{" + good + "}, {" + good + "}]", "stands here twice"},
		{"[{" + good + "}, {instance-id: cri-2, name: demo, region: cn-shanghai, auth: rrsa}]", "stands here twice"},
		{"[{instance-id: crpi-a1}]", "crpi- is a personal instance, which gives no temporary logins"},
		{"[{instance-id: demo}]", "write cri-…"},
		{"[{name: demo-registry.cn-shanghai.cr.aliyuncs.com}]", "what stands before -registry"},
		{"[{region: shanghai}]", "write one like cn-hangzhou"},
		{"[{endpoint: 'https://cr.cn-shanghai.aliyuncs.com'}]", "without scheme and port"},
		{"[{auth: ak}]", "write rrsa, or secret:<namespace>/<name>"},
		{"[{auth: ecs}]", "the node's role is never used"},
		{"[{auth: 'env:KEY'}]", "write rrsa"},
		{"[{auth: 'secret:argocd/ram#key'}]", "write rrsa"},
		{"[{auth: 'LTAICanary:secretCanary'}]", "write rrsa"},
		{"[{instanceId: cri-1}]", `did you mean "instance-id"?`},
	} {
		_, err := Parse("tagpin.yaml", []byte("acr: {instances: "+c.entries+"}\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "tagpin.yaml:1: ") || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%s: %v", c.entries, err)
		}
	}
}
