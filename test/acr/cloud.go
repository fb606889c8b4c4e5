package acr

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The hosts of a Cloud. Each registry is also known by its VPC name.
const (
	PersonalHost    = "registry.cn-hangzhou.aliyuncs.com"
	PersonalVPCHost = "registry-vpc.cn-hangzhou.aliyuncs.com"
	ShanghaiHost    = "registry.cn-shanghai.aliyuncs.com"
	OwnHost         = "crpi-k3f1s8a0example.cn-hangzhou.personal.cr.aliyuncs.com"
	InstanceHost    = "demo-registry.cn-shanghai.cr.aliyuncs.com"
	InstanceVPCHost = "demo-registry-vpc.cn-shanghai.cr.aliyuncs.com"
	CustomHost      = "cr.example.com"
)

// InstanceID is the Enterprise instance of a Cloud, Repository what its registries have.
const (
	InstanceID = "cri-k3f1s8a0example"
	Repository = "team/app"
)

// A Cloud is ACR as it looks from outside: a personal registry in two regions, a personal instance, an Enterprise instance with a
// domain of its own and an API, each with an account of its own, and a proxy by which programs reach all of them.
type Cloud struct {
	Net   *Network
	Proxy *Proxy
	API   *API
	// Hangzhou and Shanghai are personal registries, Own a personal instance, Instance an Enterprise one.
	Hangzhou, Shanghai, Own, Instance *Server
	// Role is the one that RRSA assumes with the token in the file RoleToken.
	Role      Role
	RoleToken string
	// Key is an AccessKey of the API.
	Key Key

	closers []func()
}

// Login is user:password of one of the cloud's registries.
func (s *Server) Login() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, password := range s.opts.Users {
		return user + ":" + password
	}
	return ""
}

// NewCloud runs one that keeps its data below dir. o holds for all its registries. Close it.
func NewCloud(dir string, o Options) (*Cloud, error) {
	c := &Cloud{Net: NewNetwork(), API: NewAPI(nil)}
	c.closers = append(c.closers, c.API.Close)
	var errs []error
	add := func(name, service, realm string, hosts ...string) *Server {
		o := o
		o.Service, o.Realm, o.Bucket = service, realm, "acr-"+name+".oss-cn-hangzhou.aliyuncs.com"
		o.Users = map[string]string{"robot@" + name: name + "-Canary-pass:word"}
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(at, 0o700); err != nil {
			errs = append(errs, err)
			return nil
		}
		s, err := New(at, o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			return nil
		}
		c.closers = append(c.closers, s.Close)
		c.Net.Add(s, hosts...)
		return s
	}
	const auth = "dockerauth.cn-hangzhou.aliyuncs.com" // also of other regions
	c.Hangzhou = add("hangzhou", service, auth, PersonalHost, PersonalVPCHost, "registry-internal.cn-hangzhou.aliyuncs.com", "registry.aliyuncs.com")
	c.Shanghai = add("shanghai", "registry.aliyuncs.com:cn-shanghai:26842", auth, ShanghaiHost, "registry-vpc.cn-shanghai.aliyuncs.com")
	c.Own = add("own", "registry.aliyuncs.com:cn-hangzhou:crpi", "dockerauth-cn-hangzhou.aliyuncs.com", OwnHost,
		"crpi-k3f1s8a0example-vpc.cn-hangzhou.personal.cr.aliyuncs.com")
	c.Instance = add("instance", "registry.aliyuncs.com:cn-shanghai:china:"+InstanceID, "dockerauth-ee.cn-shanghai.aliyuncs.com",
		InstanceHost, InstanceVPCHost, CustomHost)
	if err := errors.Join(errs...); err != nil {
		c.Close()
		return nil, err
	}
	return c, c.open(dir)
}

// open makes the API and the proxy.
func (c *Cloud) open(dir string) (err error) {
	c.Net.AddAPI(c.API, "cr.cn-shanghai.aliyuncs.com", "cr-vpc.cn-shanghai.aliyuncs.com", "sts.cn-shanghai.aliyuncs.com", "sts-vpc.cn-shanghai.aliyuncs.com")
	c.API.AddInstance(InstanceID, c.Instance)
	c.Instance.OnPush(func(a Arrival) {
		c.API.AddTag(InstanceID, a.Repository, Record{Tag: a.Tag, Digest: a.Digest, Pushed: time.Now()})
	})
	c.Key = Key{ID: "LTAIexample", Secret: "Canary-secret-of-an-AccessKey"}
	c.API.AddKey(c.Key)
	c.Role = Role{ARN: "acs:ram::1234567890:role/tagpin", Provider: "acs:ram::1234567890:oidc-provider/ack-rrsa-example", Token: "Canary.token.of-a-service-account"}
	c.API.AddRole(c.Role)
	c.RoleToken = filepath.Join(dir, "rrsa-token")
	if err = os.WriteFile(c.RoleToken, []byte(c.Role.Token), 0o600); err == nil {
		c.Proxy, err = NewProxy(c.Net)
	}
	if err != nil {
		c.Close()
		return err
	}
	c.closers = append(c.closers, c.Proxy.Close)
	return nil
}

// Registries are all of them.
func (c *Cloud) Registries() []*Server { return []*Server{c.Hangzhou, c.Shanghai, c.Own, c.Instance} }

// Push puts images into every registry: v1.0, v1.1 and v2.0, each built a day after the one before.
func (c *Cloud) Push(first time.Time) {
	for n, tag := range []string{"v1.0", "v1.1", "v2.0"} {
		for _, s := range c.Registries() {
			s.Push(Repository, tag, Image{Created: first.Add(time.Duration(n) * 24 * time.Hour)})
		}
	}
}

// Close ends everything.
func (c *Cloud) Close() {
	for _, end := range slices.Backward(c.closers) {
		end()
	}
	c.closers = nil
}
