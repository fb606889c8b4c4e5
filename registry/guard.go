package registry

import (
	"net/netip"

	"github.com/tagpin/tagpin/network"
)

// A guard says what may be dialled for one registry.
type guard struct {
	// own is the registry's host name if the operator named it, else empty. All its ports may be dialled: a token server
	// often shares the name and not the port.
	own string
	// named says whether the operator named this host and port, or the host or network for any port.
	named func(host, port string, addr netip.Addr) bool
	// acr is true when the registry itself is ACR's by name: then its token servers and buckets may have private addresses.
	acr bool
}

// refused is a network.Guard.
func (g guard) refused(host, port string, addr netip.Addr) string {
	kind := network.Refused(addr)
	switch {
	case kind == network.Metadata:
		return kind
	case host == g.own, g.named(host, port, network.Plain(addr)):
		return ""
	case (kind == network.Private || kind == network.Shared) && (isACR(host) || g.acr && isACRHelper(host)):
		return "" // VPC endpoints
	}
	return kind
}
