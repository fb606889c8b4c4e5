package registry_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

const (
	vpcHost      = "registry-vpc.cn-hangzhou.aliyuncs.com"
	shanghaiHost = "registry.cn-shanghai.aliyuncs.com"
	ownHost      = "crpi-a1b2.cn-hangzhou.personal.cr.aliyuncs.com"
	eeHost       = "demo-registry.cn-shanghai.cr.aliyuncs.com"
	eeVPCHost    = "demo-registry-vpc.cn-shanghai.cr.aliyuncs.com"
	otherEEHost  = "other-registry.cn-shanghai.cr.aliyuncs.com"
	authHost     = "dockerauth.cn-hangzhou.aliyuncs.com"
)

// A cloud is a network of ACR's names, and one client without a registries.conf.
type cloud struct {
	*setup
	net *acr.Network
	api *acr.API
	env map[string]string
}

func newCloud(t *testing.T, change ...func(*cloud, *registry.Options)) *cloud {
	t.Helper()
	c := &cloud{
		setup: &setup{t: t, secrets: t.TempDir(), conf: filepath.Join(t.TempDir(), "registries.conf"), now: &clock{at: time.Now()}},
		net:   acr.NewNetwork(), env: map[string]string{},
	}
	c.api = acr.StartAPI(t, c.now.Now)
	c.net.AddAPI(c.api, "cr.cn-shanghai.aliyuncs.com", "cr-vpc.cn-shanghai.aliyuncs.com", "sts.cn-shanghai.aliyuncs.com", "sts-vpc.cn-shanghai.aliyuncs.com")
	opts := registry.Options{
		ConfPath: c.conf, Secrets: config.OpenSecrets(c.secrets), Settings: config.Default(), Log: quiet(), Now: c.now.Now,
		Env: func(name string) string { return c.env[name] }, Wrap: c.net.Wrap,
	}
	for _, f := range change {
		f(c, &opts)
	}
	var err error
	if c.regs, err = registry.New(opts); err != nil {
		t.Fatal(err)
	}
	return c
}

// server is a registry of the cloud.
func (c *cloud) server(o acr.Options, hosts ...string) *acr.Server {
	c.t.Helper()
	if o.Realm == "" {
		o.Realm = authHost
	}
	if o.Bucket == "" {
		o.Bucket = "acr-" + strings.Trim(base64.RawURLEncoding.EncodeToString([]byte(hosts[0][:6])), "_-") + ".oss-cn-hangzhou.aliyuncs.com"
	}
	o.Bucket = strings.ToLower(o.Bucket)
	s := acr.Start(c.t, o)
	c.net.Add(s, hosts...)
	return s
}

func (c *cloud) on(host, repository string) (*registry.Repository, error) {
	c.t.Helper()
	return c.regs.Repository(c.t.Context(), image.Application{Name: "shop"}, entry(host, repository))
}

func (c *cloud) list(host, repository string) ([]string, error) {
	c.t.Helper()
	r, err := c.on(host, repository)
	if err != nil {
		return nil, err
	}
	return r.Tags(c.t.Context())
}

func (c *cloud) want(host string, want ...string) {
	c.t.Helper()
	tags, err := c.list(host, "team/app")
	if err != nil || !slices.Equal(tags, want) {
		c.t.Errorf("%s: %v, %v; want %v", host, tags, err, want)
	}
}

func (c *cloud) refused(host, says string) {
	c.t.Helper()
	tags, err := c.list(host, "team/app")
	if err == nil || !strings.Contains(err.Error(), says) {
		c.t.Errorf("%s: %v, %v; want an error that says %q", host, tags, err, says)
		return
	}
	noSecrets(c.t, err)
	c.now.advance(6 * time.Second) // failures are remembered that long
}

// shown lists who was shown a password of a user, by host and service.
func (c *cloud) shown(user string) []string {
	var out []string
	for _, s := range c.net.Seen() {
		req := http.Request{Header: http.Header{"Authorization": {s.Authorization}}}
		if u, _, ok := req.BasicAuth(); ok && u == user {
			out = append(out, s.Scheme+"://"+s.Host+" "+s.Query.Get("service"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestSecretOfTheGuideNeedsNoConfiguration(t *testing.T) {
	c := newCloud(t)
	s := c.server(acr.Options{RedirectBlobs: true}, acrHost, vpcHost)
	s.Push("team/app", "v1", acr.Image{Created: time.Unix(1e9, 0)})
	c.refused(vpcHost, "mount the Secret argocd/acr with user:password in its field acr, or add an entry with credentials")
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password+"\n")
	c.want(vpcHost, "v1")
	r, err := c.on(vpcHost, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := r.Describe(t.Context(), "v1", nil)
	if err != nil || tag.Created.Unix() != 1e9 {
		t.Errorf("%v, %v", tag, err)
	}
	if s.CredentialsLeaked() {
		t.Error("the bucket was shown an Authorization header")
	}
	if diff := cmp.Diff([]string{"https://" + authHost + " registry.aliyuncs.com:cn-hangzhou:26842"}, c.shown(acr.User)); diff != "" {
		t.Errorf("who was shown the password (-want +got):\n%s", diff)
	}
	for _, seen := range c.net.Seen() {
		if strings.HasPrefix(seen.Path, "/v2/") && seen.Host != vpcHost {
			t.Errorf("asked %s; the image names %s", seen.Host, vpcHost)
		}
	}

	s.SetPassword(acr.User, "rotated")
	c.now.advance(2 * time.Minute)
	c.secret("argocd", "acr", "acr", acr.User+":rotated")
	c.want(vpcHost, "v1")

	c.secret("argocd", "acr", "acr", "no-colon-Canary")
	c.refused(vpcHost, "secret:argocd/acr#acr: must hold one line of the form user:password")

	c.secret("argocd", "acr", "password", acr.Password)
	if err := os.Remove(filepath.Join(c.secrets, "argocd", "acr", "acr")); err != nil {
		t.Fatal(err)
	}
	c.refused(vpcHost, "the Secret argocd/acr is mounted and has no field acr: put user:password there")
	c.write(fmt.Sprintf("registries:\n- {name: v, prefix: %s, api_url: 'https://%s'}\n", vpcHost, vpcHost))
	c.now.advance(time.Minute)
	c.refused(vpcHost, "add credentials to its entry in registries.conf (the Secret argocd/acr serves only hosts without an entry)")
}

func TestPasswordOfACRReachesNobodyElse(t *testing.T) {
	c := newCloud(t)
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	c.env["DOCKER_CREDENTIAL_ACR_HELPER_INSTANCE_ID"] = "cri-demo1" // makes a helper claim every host
	hosts := []string{
		"index.docker.io", "registry.oss-cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com.evil.example", "registry.cn-nowhere.aliyuncs.com",
		"registry.cn-hangzhou.aliyuncs.com:8443", "ghcr.io", "demo-registry.cn-hangzhou.cr.aliyuncs.com.evil.aliyuncs.com",
	}
	s := c.server(acr.Options{}, hosts...)
	s.Push("team/app", "v1", acr.Image{})
	for _, h := range hosts {
		c.refused(h, "asks for a login and no credential applies")
	}
	c.refused("registry.cn-nowhere.aliyuncs.com", `"cn-nowhere" is no region that this version of tagpin knows: did you mean`)
	// ACR's own host, whose challenge names another one.
	for n, realm := range []string{"tokens.evil.example", "dockerauth.oss-cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com.evil.example", "cr.cn-hangzhou.aliyuncs.com"} {
		host := []string{acrHost, "registry.cn-beijing.aliyuncs.com", ownHost, shanghaiHost}[n]
		c.server(acr.Options{Realm: realm, Service: fmt.Sprint("registry.aliyuncs.com:cn-hangzhou:", n)}, host)
		c.refused(host, fmt.Sprintf("the token server %q, which is none of ACR's", realm))
	}
	if got := c.shown(acr.User); len(got) > 0 {
		t.Errorf("the password was shown to %v", got)
	}
}

func TestAnotherRegionIsTold(t *testing.T) {
	var log strings.Builder
	c := newCloud(t, func(_ *cloud, o *registry.Options) {
		l := logrus.New()
		l.SetOutput(&log)
		o.Log = l
	})
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	c.server(acr.Options{Service: "registry.aliyuncs.com:cn-beijing:26842"}, acrHost).Push("team/app", "v1", acr.Image{})
	c.want(acrHost, "v1")
	c.now.advance(2 * time.Minute)
	c.want(acrHost, "v1")
	if n := strings.Count(log.String(), "claimed=cn-beijing"); n != 1 || strings.Contains(log.String(), "Canary") {
		t.Errorf("told %d times: %s", n, log.String())
	}
}

func TestRealmThatTheOperatorNamed(t *testing.T) {
	c := newCloud(t, func(_ *cloud, o *registry.Options) {
		o.Settings.Network.Allow = []config.Allowed{{Host: "tokens.corp.example"}}
	})
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	c.server(acr.Options{Realm: "tokens.corp.example"}, acrHost).Push("team/app", "v1", acr.Image{})
	c.want(acrHost, "v1")
}

func auths(hosts ...string) string {
	var parts []string
	for i := 0; i < len(hosts); i += 3 {
		parts = append(parts, fmt.Sprintf(`%q:{"username":%q,"password":%q}`, hosts[i], hosts[i+1], hosts[i+2]))
	}
	return `{"auths":{` + strings.Join(parts, ",") + `}}`
}

func (c *cloud) dockerConfig(name, text string) {
	c.t.Helper()
	if c.env["DOCKER_CONFIG"] == "" {
		c.env["DOCKER_CONFIG"] = c.t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(c.env["DOCKER_CONFIG"], name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func TestRegionsShareNoCredential(t *testing.T) {
	c := newCloud(t)
	c.secret("argocd", "acr", "acr", "general:Canary-general")
	hz := c.server(acr.Options{Users: map[string]string{"hz": "Canary-1"}}, acrHost)
	sh := c.server(acr.Options{Users: map[string]string{"sh": "Canary-2"}, Service: "registry.aliyuncs.com:cn-shanghai:26842"}, shanghaiHost)
	hz.Push("team/app", "hangzhou", acr.Image{})
	sh.Push("team/app", "shanghai", acr.Image{})
	c.dockerConfig("config.json", auths(acrHost, "hz", "Canary-1", shanghaiHost, "sh", "Canary-2"))
	for range 2 {
		c.want(acrHost, "hangzhou")
		c.want(shanghaiHost, "shanghai")
	}
	want := map[string][]string{
		"hz":      {"https://" + authHost + " registry.aliyuncs.com:cn-hangzhou:26842"},
		"sh":      {"https://" + authHost + " registry.aliyuncs.com:cn-shanghai:26842"},
		"general": nil,
	}
	for user, where := range want {
		if diff := cmp.Diff(where, c.shown(user)); diff != "" {
			t.Errorf("who was shown the password of %s (-want +got):\n%s", user, diff)
		}
	}
}

func TestDockerConfigOfTheCredentialComponent(t *testing.T) {
	c := newCloud(t)
	s := c.server(acr.Options{Users: map[string]string{"cr_temp_user": "Canary-old"}}, acrHost)
	s.Push("team/app", "v1", acr.Image{})
	c.dockerConfig(".dockerconfigjson", auths("https://"+acrHost, "cr_temp_user", "Canary-old"))
	c.want(acrHost, "v1")
	s.SetPassword("cr_temp_user", "Canary-new")
	c.dockerConfig(".dockerconfigjson", auths(acrHost, "cr_temp_user", "Canary-new"))
	c.now.advance(2 * time.Minute)
	c.want(acrHost, "v1")

	for _, bad := range []struct{ file, says string }{
		{`Canary`, "is no docker config"},
		{`{"auths":{"` + acrHost + `":{}},"credsStore":"desktop"}`, "leaves the login of " + acrHost + " to a credential helper"},
		{`{"credHelpers":{"` + acrHost + `":"acr-helper"}}`, "let ext: in registries.conf name a program"},
		{`{"auths":{"` + acrHost + `":{"auth":"Canary!"}}}`, "DOCKER_CONFIG for " + acrHost + " can't be used"},
		{auths("evil."+acrHost, "x", "y"), "no credential applies"},
	} {
		c.dockerConfig("config.json", bad.file)
		c.now.advance(time.Minute)
		c.refused(acrHost, bad.says)
	}
}

func TestPersonalInstanceIsNeverAnonymous(t *testing.T) {
	c := newCloud(t)
	s := c.server(acr.Options{Public: true}, ownHost)
	s.Push("team/app", "v1", acr.Image{})
	c.refused(ownHost, "has no passwordless access, which Enterprise instances have")
	if n := len(c.net.Seen()); n > 0 {
		t.Errorf("%d requests without a login", n)
	}
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	c.want(ownHost, "v1")
}

func TestOneRepositoryUnderTwoNames(t *testing.T) {
	c := newCloud(t)
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	s := c.server(acr.Options{Users: map[string]string{acr.User: acr.Password, "other": "Canary-3"}}, acrHost, vpcHost)
	s.Push("team/app", "v1", acr.Image{})
	c.want(acrHost, "v1")
	c.want(vpcHost, "v1")
	if n := s.Counts().List; n != 1 {
		t.Errorf("%d lists for two names of one repository", n)
	}
	s.Push("team/app", "v2", acr.Image{})
	c.want(vpcHost, "v1")
	if !c.regs.MarkStale(image.Image{Registry: acrHost, Repository: "team/app"}) || c.regs.MarkStale(image.Image{Registry: shanghaiHost, Repository: "team/app"}) {
		t.Error("MarkStale takes another repository for this one")
	}
	c.want(vpcHost, "v1", "v2")
	c.want(acrHost, "v1", "v2")
	if n := s.Counts().List; n != 2 {
		t.Errorf("%d lists after one push", n)
	}
	for _, seen := range c.net.Seen()[len(c.net.Seen())-1:] {
		if seen.Host != vpcHost {
			t.Errorf("the VPC name was asked for at %s", seen.Host)
		}
	}
	// What a tag points to is asked again, too.
	for _, host := range []string{acrHost, vpcHost} {
		r, err := c.on(host, "team/app")
		if err != nil {
			t.Fatal(err)
		}
		before, _ := r.Digest(t.Context(), "moving")
		now := s.Push("team/app", "moving", acr.Image{Seed: host})
		c.regs.MarkStale(image.Image{Registry: vpcHost, Repository: "team/app"})
		if after, err := r.Digest(t.Context(), "moving"); err != nil || after != now || after == before {
			t.Errorf("%s: %s, %v; want %s", host, after, err, now)
		}
	}
	s.Delete("team/app", "moving")
	c.regs.MarkStale(image.Image{Registry: vpcHost, Repository: "team/app"})
	lists := s.Counts().List
	c.want(acrHost, "v1", "v2")
	// Another login sees nothing of it.
	c.dockerConfig("config.json", auths(vpcHost, "other", "Canary-3"))
	c.want(vpcHost, "v1", "v2")
	if n := s.Counts().List; n != lists+2 {
		t.Errorf("%d lists for two logins", n-lists)
	}
}
