package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ACR is what the operator says of Alibaba Cloud Container Registry.
type ACR struct {
	// Instances are the Enterprise instances that are asked without a stored password.
	Instances []ACRInstance `yaml:"instances"`
}

// An ACRInstance is an Enterprise instance.
type ACRInstance struct {
	// ID is cri-….
	ID ACRInstanceID `yaml:"instance-id"`
	// Name is the beginning of its host names, before -registry.
	Name ACRInstanceName `yaml:"name"`
	// Region is that of its host names: cn-hangzhou.
	Region ACRRegion `yaml:"region"`
	// Endpoint is the API's host, without a scheme. Empty: cr.<region>.aliyuncs.com, and cr-vpc.<region>.aliyuncs.com for
	// images on a VPC host.
	Endpoint ACREndpoint `yaml:"endpoint"`
	Auth     ACRAuth     `yaml:"auth"`
}

// ACRAuth is how temporary logins are got. Nothing else is ever tried.
type ACRAuth struct {
	// RRSA assumes the role of tagpin's service account.
	RRSA bool
	// Secret holds access-key-id, access-key-secret and perhaps security-token, when RRSA is false.
	Secret Credential
}

// An ACRInstanceID is cri-….
type ACRInstanceID string

// An ACRInstanceName begins host names, before -registry.
type ACRInstanceName string

// An ACRRegion looks like cn-hangzhou.
type ACRRegion string

// An ACREndpoint is a host name without a port.
type ACREndpoint string

var (
	acrID     = regexp.MustCompile(`^cri-[a-z0-9]{1,40}$`)
	acrRegion = regexp.MustCompile(`^[a-z]{2}-[a-z0-9-]{1,40}$`)
	acrName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$`)
)

// UnmarshalText takes cri-….
func (i *ACRInstanceID) UnmarshalText(text []byte) error {
	if strings.HasPrefix(string(text), "crpi-") {
		return errors.New("crpi- is a personal instance, which gives no temporary logins: put its user name and password " +
			"in the Secret argocd/acr, field acr, as user:password")
	}
	if !acrID.Match(text) {
		return fmt.Errorf("%q is no id of an Enterprise instance: write cri-…, as the console shows it", clip(string(text)))
	}
	*i = ACRInstanceID(text)
	return nil
}

// UnmarshalText takes the name alone.
func (n *ACRInstanceName) UnmarshalText(text []byte) error {
	if !acrName.Match(text) {
		return fmt.Errorf("%q is no instance name: write what stands before -registry in its host name", clip(string(text)))
	}
	*n = ACRInstanceName(text)
	return nil
}

// UnmarshalText takes what looks like a region. Package registry knows which there are.
func (r *ACRRegion) UnmarshalText(text []byte) error {
	if !acrRegion.Match(text) {
		return fmt.Errorf("%q is no region: write one like cn-hangzhou", clip(string(text)))
	}
	*r = ACRRegion(text)
	return nil
}

// UnmarshalText takes a host name.
func (e *ACREndpoint) UnmarshalText(text []byte) error {
	host := lowerHost(string(text))
	if !hostName.MatchString(host) {
		return errors.New("write the API's host name without scheme and port, like cr-vpc.cn-hangzhou.aliyuncs.com")
	}
	*e = ACREndpoint(host)
	return nil
}

// UnmarshalText takes rrsa or secret:<namespace>/<name>.
func (a *ACRAuth) UnmarshalText(text []byte) error {
	if string(text) == "rrsa" {
		*a = ACRAuth{RRSA: true}
		return nil
	}
	c, err := ParseCredential(string(text))
	if err != nil || c.Kind != Secret || c.Field != "" {
		return errors.New("write rrsa, or secret:<namespace>/<name> of a Secret with the fields access-key-id, access-key-secret " +
			"and, for temporary keys, security-token; the node's role is never used")
	}
	*a = ACRAuth{Secret: c}
	return nil
}

// String is as it is written.
func (a ACRAuth) String() string {
	if a.RRSA {
		return "rrsa"
	}
	return a.Secret.String()
}

func (i ACRInstance) check() error {
	var missing []string
	for _, part := range []struct {
		key string
		set bool
	}{
		{"instance-id", i.ID != ""}, {"name", i.Name != ""}, {"region", i.Region != ""}, {"auth", i.Auth != ACRAuth{}},
	} {
		if !part.set {
			missing = append(missing, part.key)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this instance lacks %s", strings.Join(missing, " and "))
	}
	return nil
}

func (a ACR) check() error {
	for n, i := range a.Instances {
		for _, o := range a.Instances[:n] {
			if o.ID == i.ID || o.Name == i.Name && o.Region == i.Region {
				return fmt.Errorf("instance %s (%s in %s) stands here twice", i.ID, i.Name, i.Region)
			}
		}
	}
	return nil
}

// Instance finds an instance by its id.
func (a ACR) Instance(id string) (ACRInstance, bool) {
	n := slices.IndexFunc(a.Instances, func(i ACRInstance) bool { return string(i.ID) == id })
	if n < 0 {
		return ACRInstance{}, false
	}
	return a.Instances[n], true
}

// Named finds an instance by name and region.
func (a ACR) Named(name, region string) (ACRInstance, bool) {
	n := slices.IndexFunc(a.Instances, func(i ACRInstance) bool { return string(i.Name) == name && string(i.Region) == region })
	if n < 0 {
		return ACRInstance{}, false
	}
	return a.Instances[n], true
}
