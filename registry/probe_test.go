package registry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

// What a challenge claims is shown where the operator could confirm it, and nowhere else; what is proposed can be added.
func TestProbeClaims(t *testing.T) {
	for name, test := range map[string]struct{ host, service, claimed string }{
		"custom domain":          {"cr.example.com", "registry.aliyuncs.com:cn-shanghai:china:cri-abc", "cri-abc"},
		"unlisted instance":      {"shop-registry.cn-shanghai.cr.aliyuncs.com", "registry.aliyuncs.com:cn-shanghai:china:cri-abc", "cri-abc"},
		"its name says another":  {"shop-registry.cn-hangzhou.cr.aliyuncs.com", "registry.aliyuncs.com:cn-shanghai:china:cri-abc", ""},
		"personal":               {"registry.cn-shanghai.aliyuncs.com", "registry.aliyuncs.com:cn-shanghai:china:cri-abc", ""},
		"no instance":            {"cr.example.com", "registry.aliyuncs.com:cn-shanghai:26842", ""},
		"no region":              {"cr.example.com", "registry.aliyuncs.com:oss-cn-shanghai:china:cri-abc", ""},
		"another kind of server": {"cr.example.com", "cr.example.com:cn-shanghai:china:cri-abc", ""},
		"an id that is none":     {"cr.example.com", "registry.aliyuncs.com:cn-shanghai:china:cri-a b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.server(acr.Options{Service: test.service}, test.host)
			probe, err := c.regs.Probe(image.Image{Registry: test.host, Repository: "shop/web"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := probe.Challenge(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Scheme != "bearer" || got.Realm != authHost {
				t.Errorf("%+v", got)
			}
			if claimed := got.Claimed != nil; claimed != (test.claimed != "") {
				t.Fatalf("claimed: %+v, want %q", got.Claimed, test.claimed)
			}
			if got.Claimed == nil {
				return
			}
			file, lines, _ := strings.Cut(probe.Propose(*got.Claimed), "\n")
			if strings.HasPrefix(file, "in tagpin.yaml") {
				settings, err := config.Parse("tagpin.yaml", []byte(lines))
				if err != nil {
					t.Fatal(err)
				}
				c = newCloud(t, func(_ *cloud, o *registry.Options) { o.Settings = settings })
				c.server(acr.Options{Service: test.service}, test.host)
			} else {
				c.write(lines)
			}
			c.now.advance(time.Minute)
			if err := c.regs.ConfProblem(); err != nil {
				t.Errorf("%v in what is proposed:\n%s", err, lines)
			}
			if probe, err = c.regs.Probe(image.Image{Registry: test.host, Repository: "shop/web"}); err != nil {
				t.Fatal(err)
			}
			if got, err = probe.Challenge(t.Context()); err != nil || got.Claimed != nil {
				t.Errorf("with the lines added: %+v, %v", got.Claimed, err)
			}
		})
	}
}

// A probe goes through the same guard as every other request.
func TestProbeDialsNoPrivateAddress(t *testing.T) {
	regs, err := registry.New(registry.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"169.254.169.254", "127.0.0.1:1"} {
		probe, err := regs.Probe(image.Image{Registry: host, Repository: "a/b"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := probe.Challenge(t.Context()); err == nil || !strings.Contains(err.Error(), "which is only dialled for hosts that the operator names") {
			t.Errorf("%s: %v", host, err)
		}
	}
}
