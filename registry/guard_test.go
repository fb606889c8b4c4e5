package registry

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestRefusedAddresses(t *testing.T) {
	named := func(host, port string, _ netip.Addr) bool { return host == "harbor.corp" && port == "443" }
	plain, acr := guard{named: named}, guard{named: named, acr: true}
	own := guard{named: named, own: "git.corp"}
	for _, c := range []struct {
		g          guard
		host, addr string
		want       string
	}{
		{plain, "ghcr.io", "140.82.112.33", ""},
		{plain, "ghcr.io", "2606:50c0:8000::153", ""},
		{plain, "evil.example", "127.0.0.1", "a loopback"},
		{plain, "evil.example", "::1", "a loopback"},
		{plain, "evil.example", "::ffff:127.0.0.1", "a loopback"},
		{plain, "evil.example", "64:ff9b::7f00:1", "a loopback"},
		{plain, "evil.example", "0.0.0.0", "an unspecified"},
		{plain, "evil.example", "::", "an unspecified"},
		{plain, "evil.example", "169.254.0.7", "a link-local"},
		{plain, "evil.example", "fe80::1%eth0", "a link-local"},
		{plain, "evil.example", "10.1.2.3", "a private"},
		{plain, "evil.example", "172.16.0.1", "a private"},
		{plain, "evil.example", "192.168.1.1", "a private"},
		{plain, "evil.example", "fd12::1", "a private"},
		{plain, "evil.example", "100.64.0.1", "a carrier-grade NAT"},
		{plain, "evil.example", "239.1.2.3", "a multicast"},
		{plain, "evil.example", "ff02::1", "a link-local"},
		{plain, "evil.example", "255.255.255.255", "a reserved"},
		{plain, "evil.example", "169.254.169.254", "a cloud metadata"},
		{plain, "harbor.corp", "10.1.2.3", ""},
		{plain, "harbor.corp", "127.0.0.1", ""},
		{plain, "harbor.corp", "169.254.169.254", "a cloud metadata"},
		{plain, "harbor.corp", "100.100.100.200", "a cloud metadata"},
		{own, "git.corp", "10.1.2.3", ""},
		{plain, "git.corp", "10.1.2.3", "a private"},
		{plain, "registry-vpc.cn-hangzhou.aliyuncs.com", "100.103.1.2", ""},
		{plain, "demo-registry-vpc.cn-shanghai.cr.aliyuncs.com", "192.168.5.6", ""},
		{plain, "registry-vpc.cn-hangzhou.aliyuncs.com", "127.0.0.1", "a loopback"},
		{plain, "registry-vpc.cn-hangzhou.aliyuncs.com", "100.100.100.200", "a cloud metadata"},
		{plain, "dockerauth-vpc.cn-hangzhou.aliyuncs.com", "100.103.1.2", "a carrier-grade NAT"},
		{acr, "dockerauth-vpc.cn-hangzhou.aliyuncs.com", "100.103.1.2", ""},
		{acr, "bucket.oss-cn-hangzhou-internal.aliyuncs.com", "100.118.28.45", ""},
		{acr, "evil.example", "100.118.28.45", "a carrier-grade NAT"},
	} {
		if got := c.g.refused(c.host, "443", netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s at %s: %q, want %q", c.host, c.addr, got, c.want)
		}
	}
	if plain.refused("harbor.corp", "22", netip.MustParseAddr("10.1.2.3")) == "" {
		t.Error("another port of a named host may be dialled for any registry")
	}
}

func TestHostsOfACR(t *testing.T) {
	data, err := os.ReadFile("../test/testdata/acr/registry.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples struct {
		Hosts  []struct{ Host, Network, Edition, Site string }
		Auth   []struct{ Header, URL string } `json:"auth_challenges"`
		Helper struct {
			Accepted []string
			Rejected []string          `json:"rejected_unknown_domain"`
			Claimed  map[string]string `json:"with_DOCKER_CREDENTIAL_ACR_HELPER_INSTANCE_ID_set"`
		} `json:"helper_host_results"`
	}
	if err := json.Unmarshal(data, &samples); err != nil {
		t.Fatal(err)
	}
	editions := map[string]edition{"personal-legacy": personal, "personal-new": personalInstance, "enterprise": enterprise}
	for _, h := range samples.Hosts {
		got, ok := parseACR(h.Host)
		if h.Network == "custom-domain" {
			if ok {
				t.Errorf("%s passes for ACR", h.Host)
			}
			continue
		}
		vpc := h.Network == "vpc" || h.Network == "classic-internal"
		if !ok || got.edition != editions[h.Edition] || got.vpc != vpc || (got.site == "-intl") != (h.Site == "international") ||
			(got.site == ".distributed") != (h.Network == "distributed") {
			t.Errorf("%s: %+v %t, want %+v", h.Host, got, ok, h)
		}
	}
	// What a program takes for ACR's that is made for the same job. It doesn't know all editions; told one instance, it takes
	// every host for that.
	for _, pattern := range samples.Helper.Accepted {
		if host := strings.NewReplacer("<r>", "cn-hangzhou", "<inst>", "demo").Replace(pattern) + ".aliyuncs.com"; !isACR(host) {
			t.Errorf("%s is no host of ACR", host)
		}
	}
	for _, host := range samples.Helper.Rejected {
		if want := strings.HasSuffix(host, ".personal.cr.aliyuncs.com") || host == "registry.aliyuncs.com"; isACR(host) != want {
			t.Errorf("%s: %t", host, !want)
		}
	}
	for host := range samples.Helper.Claimed {
		if want := strings.HasSuffix(host, ".aliyuncs.com"); isACR(host) != want {
			t.Errorf("%s: %t", host, !want)
		}
	}
	realm := regexp.MustCompile(`realm="([^"]+)"`)
	for _, a := range samples.Auth {
		if m := realm.FindStringSubmatch(a.Header); m != nil {
			a.URL = m[1]
		}
		if u, err := url.Parse(a.URL); err == nil && u.Host != "" && !isACRHelper(u.Host) {
			t.Errorf("%s is no token server", u.Host)
		}
	}
	for _, host := range []string{
		"registry.oss-cn-hangzhou.aliyuncs.com", "registry.cn-nowhere.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com.evil.example",
		"demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com.evil.aliyuncs.com", "xregistry.cn-hangzhou.aliyuncs.com", "evilaliyuncs.com",
		"registry-cn-hangzhou.ack.aliyuncs.com", "demo-registry.personal.cr.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com\n",
	} {
		if isACR(host) {
			t.Errorf("%q passes for ACR", host)
		}
	}
	for _, host := range []string{
		"dockerauth.cn-hangzhou.aliyuncs.com.evil.example", "bucket.oss-nowhere.aliyuncs.com", "a.b.oss-cn-hangzhou.aliyuncs.com",
		"oss-cn-hangzhou.aliyuncs.com",
	} {
		if isACRHelper(host) {
			t.Errorf("%q passes for ACR's", host)
		}
	}
}
