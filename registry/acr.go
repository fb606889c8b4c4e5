package registry

import (
	"regexp"
	"slices"
	"strings"
)

// The host names of Alibaba Cloud Container Registry, anchored at both ends, with the groups by name.
var (
	acrPersonal = regexp.MustCompile(`^registry(?P<site>-intl)?(?P<net>-vpc|-internal)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com$`)
	acrOwn      = regexp.MustCompile(`^(?P<id>crpi-[a-z0-9]+)(?P<net>-vpc)?\.(?P<region>[a-z0-9-]+)\.personal\.cr\.aliyuncs\.com$`)
	acrInstance = regexp.MustCompile(
		`^(?P<id>[a-z0-9][a-z0-9-]*)-registry(?P<net>-vpc)?(?P<site>\.distributed)?\.(?P<region>[a-z0-9-]+)\.cr\.aliyuncs\.com$`)
	// Where a challenge of ACR sends its clients; some regions write a hyphen before the region.
	acrAuth = regexp.MustCompile(`^dockerauth(?:-ee)?(?:-vpc)?[.-](?P<region>[a-z0-9-]+)\.aliyuncs\.com$`)
	// Where ACR redirects blob requests to: a bucket.
	acrOSS = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*\.oss-(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$`)
	// The API, and the one that gives out a role's keys.
	acrAPI = regexp.MustCompile(`^(?:cr|sts)(?:-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com$`)
)

// acrRegions are the regions that ACR is offered in (alibabacloud.com/help/en/acr, "Regions and endpoints"). Without the
// list "registry.oss-cn-hangzhou.aliyuncs.com", which is anybody's bucket, would look like a registry.
func acrRegions() []string {
	return []string{
		"cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu",
		"cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-nanjing", "cn-fuzhou", "cn-wuhan-lr",
		"cn-zhengzhou-jva", "cn-hongkong", "cn-hangzhou-finance", "cn-shanghai-finance-1", "cn-shenzhen-finance-1",
		"cn-beijing-finance-1", "cn-north-2-gov-1", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1",
		"ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ap-south-1",
		"us-east-1", "us-west-1", "us-southeast-1", "na-south-1", "eu-central-1", "eu-west-1", "me-east-1",
		"me-central-1",
	}
}

// An edition of ACR decides what can be had from it.
type edition string

const (
	// personal is the shared one of each region; since 2024-09-09 new accounts get a personal instance instead.
	personal         edition = "personal"
	personalInstance edition = "personal instance"
	enterprise       edition = "enterprise"
)

// An acrHost is what the name of an ACR registry tells.
type acrHost struct {
	edition edition
	region  string
	// instance is crpi-… of a personal instance, and the name (not the id) of an Enterprise instance.
	instance string
	// vpc is true for the names that only networks of Alibaba Cloud reach.
	vpc bool
	// site keeps apart what may not be the same store: the international site, and the name that replicas share.
	site string
}

// parseACR reads a host name without a port. It is the only way to an ACR identity besides registries.conf.
func parseACR(host string) (acrHost, bool) {
	host = strings.ToLower(host)
	if host == "registry.aliyuncs.com" { // its tokens are cn-hangzhou's
		return acrHost{edition: personal, region: "cn-hangzhou"}, true
	}
	for _, kind := range []struct {
		edition edition
		pattern *regexp.Regexp
	}{{personal, acrPersonal}, {personalInstance, acrOwn}, {enterprise, acrInstance}} {
		m := kind.pattern.FindStringSubmatch(host)
		if m == nil {
			continue
		}
		group := func(name string) string {
			if i := kind.pattern.SubexpIndex(name); i >= 0 {
				return m[i]
			}
			return ""
		}
		h := acrHost{edition: kind.edition, region: group("region"), instance: group("id"), vpc: group("net") != "", site: group("site")}
		return h, slices.Contains(acrRegions(), h.region)
	}
	return acrHost{}, false
}

// String is the registry's canonical name: equal for its public, VPC and internal host names.
func (h acrHost) String() string {
	parts := []string{"acr", h.region}
	switch h.edition {
	case personalInstance:
		parts = append(parts, h.instance)
	case enterprise:
		parts = append(parts, "instance", h.instance)
	default:
		parts = append(parts, "personal")
	}
	return strings.Join(parts, "/") + h.site
}

// canonicalInstance is the canonical name of an Enterprise instance whose id is known.
func canonicalInstance(region, id string) string { return "acr/" + region + "/" + id }

// isACR says whether host (without port) is an ACR registry by its name.
func isACR(host string) bool {
	_, ok := parseACR(host)
	return ok
}

// isACRHelper says whether host is one that an ACR registry sends its clients to, or its API.
func isACRHelper(host string) bool {
	return inRegion(strings.ToLower(host), acrAuth, acrOSS, acrAPI)
}

// isACRTokenServer says whether host is one of ACR's own token servers.
func isACRTokenServer(host string) bool { return inRegion(strings.ToLower(host), acrAuth) }

func inRegion(host string, patterns ...*regexp.Regexp) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
		m := p.FindStringSubmatch(host)
		return m != nil && slices.Contains(acrRegions(), m[p.SubexpIndex("region")])
	})
}
