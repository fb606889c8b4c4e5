package registry_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	o.Bucket = "acr-" + strings.Trim(base64.RawURLEncoding.EncodeToString([]byte(hosts[0][:6])), "_-") + ".oss-cn-hangzhou.aliyuncs.com"
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
	c.refused(vpcHost, "the Secret argocd/acr serves")
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
}

func TestPasswordOfACRReachesNobodyElse(t *testing.T) {
	c := newCloud(t)
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	hosts := []string{
		"registry.oss-cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com.evil.example", "registry.cn-nowhere.aliyuncs.com",
		"registry.cn-hangzhou.aliyuncs.com:8443", "ghcr.io", "demo-registry.cn-hangzhou.cr.aliyuncs.com.evil.aliyuncs.com",
	}
	s := c.server(acr.Options{}, hosts...)
	s.Push("team/app", "v1", acr.Image{})
	for _, h := range hosts {
		c.refused(h, "asks for a login and no credential applies")
	}
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

func TestRealmThatTheOperatorNamed(t *testing.T) {
	c := newCloud(t, func(_ *cloud, o *registry.Options) { o.Settings.Network.Allow = []config.Allowed{{Host: "tokens.corp.example"}} })
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
	// Another login sees nothing of it.
	c.dockerConfig("config.json", auths(vpcHost, "other", "Canary-3"))
	c.want(vpcHost, "v1", "v2")
	if n := s.Counts().List; n != 3 {
		t.Errorf("%d lists for two logins", n)
	}
}

// listed makes demo an instance that is asked without a password.
func listed(auth config.ACRAuth) func(*cloud, *registry.Options) {
	return func(_ *cloud, o *registry.Options) {
		o.Settings.ACR.Instances = []config.ACRInstance{
			{ID: "cri-demo1", Name: "demo", Region: "cn-shanghai", Auth: auth},
			{ID: "cri-other", Name: "other", Region: "cn-shanghai", Auth: auth},
		}
	}
}

const (
	eeService    = "registry.aliyuncs.com:cn-shanghai:china:cri-demo1"
	otherService = "registry.aliyuncs.com:cn-shanghai:china:cri-other:2a"
)

func (c *cloud) enterprise() (demo, other *acr.Server) {
	c.t.Helper()
	demo = c.server(acr.Options{Service: eeService, Realm: "dockerauth-ee.cn-shanghai.aliyuncs.com"}, eeHost, eeVPCHost, "cr.example.com")
	other = c.server(acr.Options{Service: otherService, Realm: "dockerauth-ee.cn-shanghai.aliyuncs.com"}, otherEEHost)
	demo.Push("team/app", "demo", acr.Image{})
	other.Push("team/app", "other", acr.Image{})
	c.api.AddInstance("cri-demo1", demo)
	c.api.AddInstance("cri-other", other)
	return demo, other
}

func (c *cloud) rrsa() {
	c.t.Helper()
	role := acr.Role{ARN: "acs:ram::1:role/tagpin", Provider: "acs:ram::1:oidc-provider/ack-rrsa-c1", Token: "Canary.service.account"}
	c.api.AddRole(role)
	file := filepath.Join(c.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(role.Token+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.env["ALIBABA_CLOUD_ROLE_ARN"], c.env["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"], c.env["ALIBABA_CLOUD_OIDC_TOKEN_FILE"] = role.ARN, role.Provider, file
}

func (c *cloud) asked(host string) bool {
	return slices.ContainsFunc(c.net.Seen(), func(s acr.Seen) bool { return s.Host == host })
}

func TestPasswordlessByRRSA(t *testing.T) {
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.rrsa()
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password) // not for listed instances
	demo, _ := c.enterprise()
	c.want(eeVPCHost, "demo")
	c.want(otherEEHost, "other") // its own login, though both are cr_temp_user
	for _, host := range []string{"cr-vpc.cn-shanghai.aliyuncs.com", "sts-vpc.cn-shanghai.aliyuncs.com", "cr.cn-shanghai.aliyuncs.com", "sts.cn-shanghai.aliyuncs.com"} {
		if !c.asked(host) {
			t.Errorf("%s was not asked", host)
		}
	}
	if got := c.shown(acr.User); len(got) > 0 {
		t.Errorf("argocd/acr was shown to %v", got)
	}
	for _, s := range c.net.Seen() {
		if strings.Contains(fmt.Sprint(s.Query), "Canary") {
			t.Errorf("%s: a secret in a URL", s.Host)
		}
	}
	tokens := c.api.Count("GetAuthorizationToken")
	c.now.advance(54 * time.Minute)
	c.want(eeVPCHost, "demo")
	if n := c.api.Count("GetAuthorizationToken"); n != tokens {
		t.Errorf("%d logins more within the hour", n-tokens)
	}
	c.now.advance(2 * time.Minute)
	lists := demo.Counts().List
	c.want(eeVPCHost, "demo")
	if n := c.api.Count("GetAuthorizationToken"); n != tokens+1 {
		t.Errorf("%d logins shortly before the end of one", n-tokens)
	}
	if n := demo.Counts().List - lists; n != 1 {
		t.Errorf("%d lists", n)
	}

	// A renewed login is the same identity: what is known stays known.
	c.now.advance(30 * time.Second)
	lists = demo.Counts().List
	c.want(eeVPCHost, "demo")
	if demo.Counts().List != lists {
		t.Error("renewing the login threw the cache away")
	}
}

func TestRefusedTemporaryLoginIsRenewedOnce(t *testing.T) {
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.rrsa()
	demo, _ := c.enterprise()
	r, err := c.on(eeHost, "team/app")
	if err != nil {
		t.Fatal(err)
	}
	demo.Revoke()
	c.now.advance(5 * time.Minute)
	if tags, err := r.Tags(t.Context()); err != nil || len(tags) != 1 {
		t.Errorf("%v, %v", tags, err)
	}
	if n := c.api.Count("GetAuthorizationToken"); n != 2 {
		t.Errorf("%d logins", n)
	}
	// A repository without a right is answered like a wrong login: that costs no more than one renewal, and none right after one.
	demo.Fail(acr.List, acr.Fault{Status: 401, Code: "UNAUTHORIZED"})
	for range 3 {
		c.now.advance(6 * time.Second)
		tags, err := c.list(eeHost, "team/none")
		if err == nil || !strings.Contains(err.Error(), "good for its own instance alone") {
			t.Errorf("%v, %v", tags, err)
		} else {
			noSecrets(t, err)
		}
	}
	if n := c.api.Count("GetAuthorizationToken"); n != 2 {
		t.Errorf("%d logins after refusals", n)
	}
}

func TestPasswordlessByAccessKey(t *testing.T) {
	c := newCloud(t, listed(config.ACRAuth{Secret: config.Credential{Kind: config.Secret, Namespace: "argocd", Name: "ram"}}))
	c.enterprise()
	c.refused(eeHost, "mount the Secret ram of namespace argocd")
	c.secret("argocd", "ram", "access-key-id", "LTAI1\n")
	c.secret("argocd", "ram", "access-key-secret", "Canary-secret\n")
	c.refused(eeHost, "there is no such AccessKey")
	c.api.AddKey(acr.Key{ID: "LTAI1", Secret: "another"})
	c.refused(eeHost, "the AccessKey secret is wrong")
	c.api.AddKey(acr.Key{ID: "LTAI1", Secret: "Canary-secret"})
	c.want(eeHost, "demo")

	c.secret("argocd", "ram", "access-key-id", "STS.1")
	c.secret("argocd", "ram", "security-token", "Canary-token")
	c.refused(eeHost, "the temporary keys are expired")
	c.api.AddKey(acr.Key{ID: "STS.1", Secret: "Canary-secret", Token: "Canary-token"})
	c.want(eeHost, "demo")
	c.secret("argocd", "ram", "access-key-id", "two words")
	c.secret("argocd", "ram", "security-token", "")
	c.refused(eeHost, "must hold one word")
}

func TestPasswordlessNeverFallsThrough(t *testing.T) {
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.enterprise()
	c.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	c.dockerConfig("config.json", auths(eeHost, acr.User, acr.Password))
	c.env["ALIBABA_CLOUD_ACCESS_KEY_ID"], c.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "LTAI1", "Canary-secret"
	c.api.AddKey(acr.Key{ID: "LTAI1", Secret: "Canary-secret"})
	c.refused(eeHost, "auth is rrsa, and ALIBABA_CLOUD_ROLE_ARN is not set")
	c.rrsa()
	c.env["ALIBABA_CLOUD_OIDC_TOKEN_FILE"] += ".missing"
	c.refused(eeHost, "check that the projected token is mounted")
	if n := len(c.net.Seen()); n > 0 {
		t.Errorf("%d requests", n)
	}
	c.rrsa()
	c.env["ALIBABA_CLOUD_ROLE_ARN"] = "acs:ram::1:role/other"
	c.refused(eeHost, "the role does not trust this service account")
}

func TestAPIFailures(t *testing.T) {
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.rrsa()
	c.enterprise()
	for _, f := range []struct {
		fault     acr.APIFault
		says      string
		retryable bool
	}{
		{acr.APIFault{Status: 403, Code: "NoPrivilege"}, "grant it cr:GetAuthorizationToken on the instance (HTTP 403 NoPrivilege)", false},
		{acr.APIFault{Status: 200, Code: "NoPrivilege"}, "grant it cr:GetAuthorizationToken", false},
		{acr.APIFault{Status: 500, Code: "SystemError"}, "is failing", true},
		{acr.APIFault{Status: 400, Code: "Throttling.User"}, "limits this account's requests", true},
		{acr.APIFault{Status: 404, Code: "USER_NOT_EXIST"}, "sign in to its console once", false},
		{acr.APIFault{Status: 200, Code: "INSTANCE_NOT_EXIST"}, "check instance-id and region", false},
		{acr.APIFault{Status: 418, Code: "Canary"}, "refuses GetAuthorizationToken", false},
	} {
		c.api.Fail("GetAuthorizationToken", &f.fault)
		_, err := c.list(eeHost, "team/app")
		var e *registry.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), f.says) || e.Retryable != f.retryable {
			t.Errorf("%+v: %v", f.fault, err)
			continue
		}
		noSecrets(t, err)
	}
	c.api.Fail("GetAuthorizationToken", &acr.APIFault{Status: 400, Code: "Throttling.User", Times: 2})
	c.want(eeHost, "demo")
	// Near its end a login serves on while no new one can be had, until it is too old.
	c.api.Fail("GetAuthorizationToken", &acr.APIFault{Status: 503, Code: "ServiceUnavailable"})
	c.now.advance(58 * time.Minute)
	c.want(eeHost, "demo")
	c.now.advance(2 * time.Minute)
	c.refused(eeHost, "is failing")
}

func TestClockOfTheAPI(t *testing.T) {
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.rrsa()
	c.enterprise()
	c.api.SetSkew(-14 * time.Minute) // its times end 14 minutes early, if they are taken as ours
	c.want(eeHost, "demo")
	c.now.advance(50 * time.Minute)
	c.want(eeHost, "demo")
	if n := c.api.Count("GetAuthorizationToken"); n != 1 {
		t.Errorf("%d logins within 50 minutes", n)
	}
	c.now.advance(10 * time.Minute)
	c.api.SetSkew(20 * time.Minute)
	c.refused(eeHost, "clock differs from Alibaba Cloud's")
}

func TestCustomDomain(t *testing.T) {
	const conf = "registries:\n- {name: custom, prefix: cr.example.com, api_url: 'https://cr.example.com', acr_instance_id: %s, acr_region: cn-shanghai}\n"
	c := newCloud(t, listed(config.ACRAuth{RRSA: true}))
	c.rrsa()
	demo, _ := c.enterprise()
	c.write(fmt.Sprintf(conf, "cri-demo1"))
	c.now.advance(time.Minute)
	c.want("cr.example.com", "demo")
	c.want(eeHost, "demo")
	if n := demo.Counts().List; n != 1 {
		t.Errorf("%d lists for two names of one instance", n)
	}
	// The challenge contradicts: no login is sent.
	tokens := demo.Counts().Token
	c.write(fmt.Sprintf(conf, "cri-other"))
	c.now.advance(time.Minute)
	c.refused("cr.example.com", "the registry says that it is instance cri-demo1, and the operator's files say cri-other")
	if demo.Counts().Token != tokens {
		t.Error("the login of another instance was sent")
	}
	// A challenge alone earns nothing.
	c.write("registries: []\n")
	c.now.advance(time.Minute)
	c.refused("cr.example.com", "no credential applies")
}

func TestRegionOfAnInstanceMustAgree(t *testing.T) {
	conf := "registries:\n- {name: custom, prefix: cr.example.com, api_url: 'https://cr.example.com', acr_instance_id: cri-demo1, acr_region: cn-beijing}\n"
	path := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := config.Settings{ACR: config.ACR{Instances: []config.ACRInstance{{ID: "cri-demo1", Name: "demo", Region: "cn-shanghai", Auth: config.ACRAuth{RRSA: true}}}}}
	if _, err := registry.New(registry.Options{ConfPath: path, Settings: settings}); err == nil || !strings.Contains(err.Error(), "tagpin.yaml has instance cri-demo1 in cn-shanghai") {
		t.Error(err)
	}
	settings.ACR.Instances[0].Region = "oss-cn-shanghai"
	if _, err := registry.New(registry.Options{Settings: settings}); err == nil || !strings.Contains(err.Error(), "no region of ACR") {
		t.Error(err)
	}
}
