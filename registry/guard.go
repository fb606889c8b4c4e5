package registry

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Connecting takes this long at most; a registry that is slower than that would also be too slow for a render.
const dialTimeout = 10 * time.Second

// A guard dials for one registry and refuses addresses that are none of a registry's business. It looks at each address
// after name resolution, right before the connection is made, so that neither DNS nor a redirect gets around it.
type guard struct {
	// own is the registry's host name if the operator named it, else empty. All its ports may be dialled: a token server
	// often shares the name and not the port.
	own string
	// named says whether the operator named this host and port, or the host or network for any port.
	named func(host, port string, addr netip.Addr) bool
	// acr is true when the registry itself is ACR's by name: then its token servers and buckets may have private addresses.
	acr bool
}

// A blockedError says that a host has an address that is not dialled.
type blockedError struct{ host, kind string }

func (e *blockedError) Error() string {
	return fmt.Sprintf("host %s has %s address", e.host, e.kind)
}

func (g guard) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	d.Control = func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return &blockedError{host, "an unreadable"}
		}
		if kind := g.refused(host, port, ap.Addr()); kind != "" {
			return &blockedError{host, kind}
		}
		return nil
	}
	return d.DialContext(ctx, network, addr)
}

// refused is the kind of address, with its article, if it may not be dialled for host.
func (g guard) refused(host, port string, addr netip.Addr) string {
	a := plain(addr)
	switch {
	case isMetadata(a):
		return "a cloud metadata" // nobody's registry, whatever is named
	case host == g.own, g.named(host, port, a):
		return ""
	}
	kind := addressKind(a)
	if (kind == privateKind || kind == sharedKind) && (isACR(host) || g.acr && isACRHelper(host)) {
		return "" // VPC endpoints
	}
	return kind
}

// checkLiteral judges a host that is an address itself, for requests that a proxy will carry.
func (g guard) checkLiteral(host, port string) error {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return nil //nolint:nilerr // a name: the proxy resolves it
	}
	if kind := g.refused(host, port, a); kind != "" {
		return &blockedError{host, kind}
	}
	return nil
}

const (
	privateKind = "a private"
	sharedKind  = "a carrier-grade NAT"
)

// addressKind is empty for an address of the public internet.
func addressKind(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "a loopback"
	case a.IsUnspecified() || netip.MustParsePrefix("0.0.0.0/8").Contains(a):
		return "an unspecified"
	case a.IsLinkLocalUnicast(), a.IsLinkLocalMulticast():
		return "a link-local"
	case a.IsMulticast():
		return "a multicast"
	case a.IsPrivate(): // RFC 1918 and unique local
		return privateKind
	case netip.MustParsePrefix("100.64.0.0/10").Contains(a):
		return sharedKind
	case netip.MustParsePrefix("240.0.0.0/4").Contains(a):
		return "a reserved"
	}
	return ""
}

func isMetadata(a netip.Addr) bool {
	switch a.String() {
	case "169.254.169.254", "100.100.100.200", "fd00:ec2::254":
		return true
	}
	return false
}

// plain strips zones and the ways to write an IPv4 address as an IPv6 one that networks translate back.
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if netip.MustParsePrefix("64:ff9b::/96").Contains(a) { // NAT64, RFC 6052
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}
