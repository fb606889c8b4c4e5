// Package network connects for those who fetch over HTTP. A Guard dials in their place and refuses addresses that are none of
// their business: it looks at each address after name resolution, right before the connection is made, so that neither DNS nor
// a redirect gets around it.
package network

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// DialTimeout is how long connecting may take; a server that is slower than that would also be too slow for a render.
const DialTimeout = 10 * time.Second

// A Guard says what kind of address, with its article, keeps host from being dialled there; empty: it may be. Host is in lower
// case and without a dot at its end. Refused is a Guard's base.
type Guard func(host, port string, addr netip.Addr) string

// A BlockedError says that a host has an address that is not dialled.
type BlockedError struct{ Host, Kind string }

func (e *BlockedError) Error() string {
	return fmt.Sprintf("host %s has %s address", e.Host, e.Kind)
}

// Dial is a DialContext of http.Transport.
func (g Guard) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	d := net.Dialer{Timeout: DialTimeout, KeepAlive: 30 * time.Second}
	d.Control = func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return &BlockedError{host, "an unreadable"}
		}
		if kind := g(host, port, Plain(ap.Addr())); kind != "" {
			return &BlockedError{host, kind}
		}
		return nil
	}
	return d.DialContext(ctx, network, addr)
}

// Proxy is the environment's, for http.Transport. The proxy then resolves the names, so a Guard can only judge addresses that
// stand in the request itself; what a proxy may reach is for its own rules.
func (g Guard) Proxy(req *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return nil, err
	}
	host := req.URL.Hostname()
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return proxy, nil //nolint:nilerr // a name: the proxy resolves it
	}
	if kind := g(host, PortOf(req.URL), Plain(addr)); kind != "" {
		return nil, &BlockedError{host, kind}
	}
	return proxy, nil
}

// PortOf is a URL's port, or that of its scheme.
func PortOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// The kinds of addresses that some hosts may have all the same.
const (
	Metadata = "a cloud metadata" // nobody's server, whatever is named
	Private  = "a private"
	Shared   = "a carrier-grade NAT"
)

// Refused is empty for an address of the public internet.
func Refused(addr netip.Addr) string {
	a := Plain(addr)
	switch {
	case isMetadata(a):
		return Metadata
	case a.IsLoopback():
		return "a loopback"
	case a.IsUnspecified() || netip.MustParsePrefix("0.0.0.0/8").Contains(a):
		return "an unspecified"
	case a.IsLinkLocalUnicast(), a.IsLinkLocalMulticast():
		return "a link-local"
	case a.IsMulticast():
		return "a multicast"
	case a.IsPrivate(): // RFC 1918 and unique local
		return Private
	case netip.MustParsePrefix("100.64.0.0/10").Contains(a):
		return Shared
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

// Plain strips zones and the ways to write an IPv4 address as an IPv6 one that networks translate back.
func Plain(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if netip.MustParsePrefix("64:ff9b::/96").Contains(a) { // NAT64, RFC 6052
		b := a.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}
