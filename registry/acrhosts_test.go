package registry

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
)

func TestACRHosts(t *testing.T) {
	for _, c := range []struct {
		host string
		want acrHost
		name string
	}{
		{"registry.cn-hangzhou.aliyuncs.com", acrHost{edition: personal, region: "cn-hangzhou"}, "acr/cn-hangzhou/personal"},
		{"Registry.CN-Hangzhou.aliyuncs.com", acrHost{edition: personal, region: "cn-hangzhou"}, "acr/cn-hangzhou/personal"},
		{"registry-vpc.cn-hangzhou.aliyuncs.com", acrHost{edition: personal, region: "cn-hangzhou", vpc: true}, "acr/cn-hangzhou/personal"},
		{"registry-internal.cn-hangzhou.aliyuncs.com", acrHost{edition: personal, region: "cn-hangzhou", vpc: true}, "acr/cn-hangzhou/personal"},
		{"registry.aliyuncs.com", acrHost{edition: personal, region: "cn-hangzhou"}, "acr/cn-hangzhou/personal"},
		{"registry.cn-wuhan-lr.aliyuncs.com", acrHost{edition: personal, region: "cn-wuhan-lr"}, "acr/cn-wuhan-lr/personal"},
		{"registry-intl.ap-southeast-1.aliyuncs.com", acrHost{edition: personal, region: "ap-southeast-1", site: "-intl"}, "acr/ap-southeast-1/personal-intl"},
		{"registry-intl-vpc.ap-southeast-1.aliyuncs.com", acrHost{edition: personal, region: "ap-southeast-1", site: "-intl", vpc: true}, "acr/ap-southeast-1/personal-intl"},
		{"registry-intl-internal.ap-southeast-1.aliyuncs.com", acrHost{edition: personal, region: "ap-southeast-1", site: "-intl", vpc: true}, "acr/ap-southeast-1/personal-intl"},
		{"crpi-a1b2.cn-hangzhou.personal.cr.aliyuncs.com", acrHost{edition: personalInstance, region: "cn-hangzhou", instance: "crpi-a1b2"}, "acr/cn-hangzhou/crpi-a1b2"},
		{"crpi-a1b2-vpc.cn-hangzhou.personal.cr.aliyuncs.com", acrHost{edition: personalInstance, region: "cn-hangzhou", instance: "crpi-a1b2", vpc: true}, "acr/cn-hangzhou/crpi-a1b2"},
		{"demo-registry.cn-shanghai.cr.aliyuncs.com", acrHost{edition: enterprise, region: "cn-shanghai", instance: "demo"}, "acr/cn-shanghai/instance/demo"},
		{"demo-registry-vpc.cn-shanghai.cr.aliyuncs.com", acrHost{edition: enterprise, region: "cn-shanghai", instance: "demo", vpc: true}, "acr/cn-shanghai/instance/demo"},
		{"demo-registry.distributed.cn-hangzhou.cr.aliyuncs.com", acrHost{edition: enterprise, region: "cn-hangzhou", instance: "demo", site: ".distributed"}, "acr/cn-hangzhou/instance/demo.distributed"},
		{"demo-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com", acrHost{edition: enterprise, region: "cn-hangzhou", instance: "demo", site: ".distributed", vpc: true}, "acr/cn-hangzhou/instance/demo.distributed"},
		{"my-registry-registry.cn-hangzhou.cr.aliyuncs.com", acrHost{edition: enterprise, region: "cn-hangzhou", instance: "my-registry"}, "acr/cn-hangzhou/instance/my-registry"},
		{"my-registry-registry-vpc.cn-hangzhou.cr.aliyuncs.com", acrHost{edition: enterprise, region: "cn-hangzhou", instance: "my-registry", vpc: true}, "acr/cn-hangzhou/instance/my-registry"},
	} {
		if got, ok := parseACR(c.host); !ok || got != c.want || got.String() != c.name {
			t.Errorf("%s: %+v %s %t", c.host, got, got, ok)
		}
	}
	for _, host := range []string{
		"", "registry", "registry.oss-cn-hangzhou.aliyuncs.com", "registry-vpc.oss-cn-hangzhou-internal.aliyuncs.com", "registry.aliyuncs.com.cn",
		"registry.cn-nowhere.aliyuncs.com", "registry.vpc.aliyuncs.com", "registry--vpc.cn-hangzhou.aliyuncs.com", "registry-vpc-intl.cn-hangzhou.aliyuncs.com",
		"registry.cn-hangzhou.aliyuncs.com.evil.example", "registry.cn-hangzhou.aliyuncs.com.", "x.registry.cn-hangzhou.aliyuncs.com",
		"registry.cn-hangzhou.aliyuncs.com:443", "registry.cn-hangzhou.aliyuncs.com\n", "registry.cn-hangzhou.aliyuncs.com\x00", "registryXcn-hangzhou.aliyuncs.com",
		"registry.cn-hangzhouXaliyuncs.com", "registry-cn-hangzhou.ack.aliyuncs.com", "crpi-a1b2.cn-hangzhou.cr.aliyuncs.com", "crpi-.cn-hangzhou.personal.cr.aliyuncs.com",
		"crpi-a-b.cn-hangzhou.personal.cr.aliyuncs.com", "demo-registry.personal.cr.aliyuncs.com", "demo-registry.cn-hangzhou.personal.cr.aliyuncs.com",
		"-registry.cn-hangzhou.cr.aliyuncs.com", "demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com.evil.aliyuncs.com", "demo-registry.oss-cn-hangzhou.cr.aliyuncs.com",
		"demo_registry.cn-hangzhou.cr.aliyuncs.com", "demo.cn-hangzhou.cr.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com",
		"registry.ſn-hangzhou.aliyuncs.com", "index.docker.io",
	} {
		if h, ok := parseACR(host); ok {
			t.Errorf("%q passes for %+v", host, h)
		}
	}
}

func FuzzACRHost(f *testing.F) {
	for _, s := range []string{"registry.cn-hangzhou.aliyuncs.com", "crpi-a-vpc.cn-hangzhou.personal.cr.aliyuncs.com", "a-registry-vpc.cn-hangzhou.cr.aliyuncs.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := parseACR(s)
		if ok && (!strings.HasSuffix(strings.ToLower(s), ".aliyuncs.com") || checkRegion(h.region) != nil || strings.Contains(s, ".oss-")) {
			t.Errorf("%q: %+v", s, h)
		}
	})
}

func TestServiceOfAChallenge(t *testing.T) {
	data, err := os.ReadFile("../test/testdata/acr/registry.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples struct {
		Auth []struct {
			Name, Header string
			Response     struct{ Headers map[string]string }
		} `json:"auth_challenges"`
	}
	if err := json.Unmarshal(data, &samples); err != nil {
		t.Fatal(err)
	}
	want := map[string]claim{
		"personal legacy /v2/": {region: "cn-hangzhou"},
		"personal, other region, realm stays in cn-hangzhou, with scope": {region: "cn-shanghai"},
		"zhangjiakou hyphen form": {region: "cn-zhangjiakou"},
		"enterprise":              {"cn-hangzhou", "cri-xxxxxxxxx"},
		"enterprise, -ee realm, trailing part after the instance id": {"cn-hangzhou", "cri-example123"},
		"enterprise VPC": {"cn-hangzhou", "cri-example123"},
	}
	service := regexp.MustCompile(`service="([^"]+)"`)
	for _, s := range samples.Auth {
		header := s.Header + s.Response.Headers["Www-Authenticate"]
		if header == "" {
			continue
		}
		got, ok := parseService(url.Values{"service": {service.FindStringSubmatch(header)[1]}})
		if !ok || got != want[s.Name] {
			t.Errorf("%s: %+v", s.Name, got)
		}
		delete(want, s.Name)
	}
	if len(want) > 0 {
		t.Errorf("no sample of %v", want)
	}
	for _, s := range []string{"", "registry.docker.io", "registry.aliyuncs.com", "evil:registry.aliyuncs.com:cn-hangzhou:cri-x"} {
		if c, ok := parseService(url.Values{"service": {s}}); ok {
			t.Errorf("%q: %+v", s, c)
		}
	}
}

func FuzzServiceOfAChallenge(f *testing.F) {
	f.Add("registry.aliyuncs.com:cn-hangzhou:china:cri-x:2a")
	f.Add("registry.aliyuncs.com:cn-hangzhou:26842")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := parseService(url.Values{"service": {s}}); ok && c.instance != "" && !acrIDRE.MatchString(c.instance) {
			t.Errorf("%q: %+v", s, c)
		}
	})
}

func TestIdentity(t *testing.T) {
	r := &Registries{conf: &confFile{conf: mustConf(t, `registries:
- {name: custom, prefix: cr.example.com, api_url: 'https://cr.example.com', acr_instance_id: cri-demo1, acr_region: cn-shanghai}
- {name: alias, prefix: acr.corp, api_url: 'https://registry-vpc.cn-hangzhou.aliyuncs.com'}
- {name: loose, prefix: registry-internal.cn-beijing.aliyuncs.com, api_url: 'https://registry-internal.cn-beijing.aliyuncs.com', insecure: true}
- {name: inspected, prefix: registry-vpc.cn-beijing.aliyuncs.com, api_url: 'https://registry-vpc.cn-beijing.aliyuncs.com', ca_file: /corp.pem}
- {name: mirror, prefix: ghcr.io, api_url: 'https://mirror.example'}
`)}}
	r.opts.Settings.ACR.Instances = []config.ACRInstance{{ID: "cri-demo1", Name: "demo", Region: "cn-shanghai", Auth: config.ACRAuth{RRSA: true}}}
	parse := func(s string) image.Image {
		img, err := image.ParseImage(s)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	const hz = "registry.cn-hangzhou.aliyuncs.com/ns/app"
	for _, c := range []struct {
		a, b          string
		names, here   bool // the same by name alone; and for this operator
		cacheIsShared bool
	}{
		{hz, "registry-vpc.cn-hangzhou.aliyuncs.com/ns/app:v1", true, true, true},
		{hz, "registry-internal.cn-hangzhou.aliyuncs.com/ns/app", true, true, true},
		{hz, "registry.aliyuncs.com/ns/app", true, true, true},
		{hz, "acr.corp/ns/app", false, true, true},
		{hz, "registry.cn-hangzhou.aliyuncs.com:443/ns/app", true, true, true},
		{hz, "registry.cn-hangzhou.aliyuncs.com:8443/ns/app", false, false, false},
		{hz, "registry-vpc.cn-hangzhou.aliyuncs.com/ns/other", false, false, false},
		{hz, "registry.cn-beijing.aliyuncs.com/ns/app", false, false, false},
		{hz, "registry-intl.cn-hangzhou.aliyuncs.com/ns/app", false, false, false},
		{hz, "registry.oss-cn-hangzhou.aliyuncs.com/ns/app", false, false, false},
		{hz, "registry.cn-hangzhou.aliyuncs.com.evil.example/ns/app", false, false, false},
		{"registry.cn-beijing.aliyuncs.com/ns/app", "registry-internal.cn-beijing.aliyuncs.com/ns/app", true, true, false},
		{"registry.cn-beijing.aliyuncs.com/ns/app", "registry-vpc.cn-beijing.aliyuncs.com/ns/app", true, true, false},
		{"crpi-a.cn-beijing.personal.cr.aliyuncs.com/ns/app", "crpi-a-vpc.cn-beijing.personal.cr.aliyuncs.com/ns/app", true, true, true},
		{"crpi-a.cn-beijing.personal.cr.aliyuncs.com/ns/app", "crpi-b.cn-beijing.personal.cr.aliyuncs.com/ns/app", false, false, false},
		{"demo-registry.cn-shanghai.cr.aliyuncs.com/ns/app", "demo-registry-vpc.cn-shanghai.cr.aliyuncs.com/ns/app", true, true, true},
		{"demo-registry.cn-shanghai.cr.aliyuncs.com/ns/app", "cr.example.com/ns/app", false, true, true},
		{"other-registry.cn-shanghai.cr.aliyuncs.com/ns/app", "cr.example.com/ns/app", false, false, false},
		{"nginx", "docker.io/library/nginx", true, true, true},
		{"index.docker.io/nginx", "docker.io/library/nginx", true, true, true},
		{"ghcr.io/a/b", "mirror.example/a/b", false, false, true},
	} {
		a, b := parse(c.a), parse(c.b)
		if SameImage(a, b) != c.names || SameImage(b, a) != c.names {
			t.Errorf("%s and %s by name: want %t", c.a, c.b, c.names)
		}
		if r.SameImage(a, b) != c.here {
			t.Errorf("%s is %s, %s is %s; want same: %t", c.a, r.Identity(a), c.b, r.Identity(b), c.here)
		}
		ea, pa := r.conf.conf.find(a)
		eb, pb := r.conf.conf.find(b)
		if shared := r.origin(ea)+pa == r.origin(eb)+pb; shared != c.cacheIsShared {
			t.Errorf("%s and %s share answers: %t", c.a, c.b, shared)
		}
	}
}

func TestACRInRegistriesConf(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"acr_instance_id: cri-x, acr_region: cn-shanghai, api_url: 'https://cr.example.com'", ""},
		{"acr_instance_id: cri-x, acr_region: cn-shanghai, api_url: 'https://demo-registry.cn-shanghai.cr.aliyuncs.com'", ""},
		{"acr_instance_id: cri-x, api_url: 'https://cr.example.com'", "go together"},
		{"acr_region: cn-shanghai, api_url: 'https://cr.example.com'", "go together"},
		{"acr_instance_id: crpi-x, acr_region: cn-shanghai, api_url: 'https://cr.example.com'", "crpi- is a personal instance"},
		{"acr_instance_id: demo, acr_region: cn-shanghai, api_url: 'https://cr.example.com'", "write cri-"},
		{"acr_instance_id: cri-x, acr_region: cn-shangai, api_url: 'https://cr.example.com'", `did you mean "cn-shanghai"?`},
		{"acr_instance_id: cri-x, acr_region: oss-cn-shanghai, api_url: 'https://cr.example.com'", "is no region of ACR"},
		{"acr_instance_id: cri-x, acr_region: cn-shanghai, api_url: 'https://demo-registry.cn-hangzhou.cr.aliyuncs.com'", "the host is in cn-hangzhou"},
		{"acr_instance_id: cri-x, acr_region: cn-shanghai, api_url: 'https://registry.cn-shanghai.aliyuncs.com'", "is a personal registry's"},
	} {
		_, err := ParseConf([]byte("registries:\n- {name: A, prefix: cr.example.com, " + c.lines + "}\n"))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line 2")) {
			t.Errorf("%s: %v", c.lines, err)
		}
	}
}

func TestNamesOfOneRegistryShareALimit(t *testing.T) {
	r := &Registries{quotas: map[string]*quota{}, conf: &confFile{conf: mustConf(t, `registries:
- {name: vpc, prefix: registry-vpc.cn-hangzhou.aliyuncs.com, api_url: 'https://registry-vpc.cn-hangzhou.aliyuncs.com', limit: 3}
`)}}
	of := func(host string) *quota {
		e, _ := r.conf.conf.find(image.Image{Registry: host, Repository: "ns/app"})
		return r.quota(e)
	}
	public := of("registry.cn-hangzhou.aliyuncs.com")
	if vpc := of("registry-vpc.cn-hangzhou.aliyuncs.com"); vpc != public || vpc.rate.Limit() != 3 {
		t.Errorf("%v requests per second, and the names share them: %t", vpc.rate.Limit(), vpc == public)
	}
	if of("registry.cn-beijing.aliyuncs.com") == public {
		t.Error("two regions share a limit")
	}
}
