package registry

import (
	"regexp"
	"slices"
	"strings"
)

// The host names of Alibaba Cloud Container Registry, anchored at both ends. The group is the region.
var (
	acrPersonal  = regexp.MustCompile(`^registry(?:-intl)?(?:-vpc|-internal)?\.([a-z0-9-]+)\.aliyuncs\.com$`)
	acrPersonal2 = regexp.MustCompile(`^crpi-[a-z0-9]+(?:-vpc)?\.([a-z0-9-]+)\.personal\.cr\.aliyuncs\.com$`)
	acrInstance  = regexp.MustCompile(
		`^[a-z0-9][a-z0-9-]*-registry(?:-vpc)?(?:\.distributed)?\.([a-z0-9-]+)\.cr\.aliyuncs\.com$`)
	// Where a challenge of ACR sends its clients; some regions write a hyphen before the region.
	acrAuth = regexp.MustCompile(`^dockerauth(?:-ee)?(?:-vpc)?[.-]([a-z0-9-]+)\.aliyuncs\.com$`)
	// Where ACR redirects blob requests to: a bucket.
	acrOSS = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*\.oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$`)
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

// isACR says whether host (without port) is an ACR registry by its name.
func isACR(host string) bool {
	host = strings.ToLower(host)
	return host == "registry.aliyuncs.com" || inRegion(host, acrPersonal, acrPersonal2, acrInstance)
}

// isACRHelper says whether host is one that an ACR registry sends its clients to: a token server or a bucket.
func isACRHelper(host string) bool {
	return inRegion(strings.ToLower(host), acrAuth, acrOSS)
}

func inRegion(host string, patterns ...*regexp.Regexp) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
		m := p.FindStringSubmatch(host)
		return m != nil && slices.Contains(acrRegions(), m[1])
	})
}
