package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

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
		c.now.advance(6 * time.Second)
	}
	c.api.Fail("GetAuthorizationToken", &acr.APIFault{Status: 400, Code: "Throttling.User", Times: 2})
	c.want(eeHost, "demo")
	// Near its end a login serves on while no new one can be had, until it is too old.
	c.api.Fail("GetAuthorizationToken", &acr.APIFault{Status: 503, Code: "ServiceUnavailable"})
	c.now.advance(58 * time.Minute)
	c.want(eeHost, "demo")
	c.now.advance(time.Second)
	n := c.api.Count("GetAuthorizationToken")
	c.want(eeHost, "demo")
	if c.api.Count("GetAuthorizationToken") != n {
		t.Error("a failing API is asked by everybody")
	}
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
	if err := os.WriteFile(path, []byte(strings.NewReplacer("cn-beijing", "cn-shanghai", "https://cr.example.com", "https://"+otherEEHost).Replace(conf)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.New(registry.Options{ConfPath: path, Settings: settings}); err == nil || !strings.Contains(err.Error(), `the host is that of "other"`) {
		t.Error(err)
	}
	settings.ACR.Instances[0].Region = "oss-cn-shanghai"
	if _, err := registry.New(registry.Options{Settings: settings}); err == nil || !strings.Contains(err.Error(), "no region of ACR") {
		t.Error(err)
	}
}
