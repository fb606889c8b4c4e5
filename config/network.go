package config

import (
	"errors"
	"net/netip"
	"regexp"
)

// Network says what may be dialled.
type Network struct {
	// Allow names hosts and networks that may be dialled although their addresses are private.
	Allow []Allowed `yaml:"allow"`
}

// Allowed is a host name, or a network.
type Allowed struct {
	Host   string // lower case, without a trailing dot; empty for a network
	Prefix netip.Prefix
}

var hostName = regexp.MustCompile(`^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$`)

// UnmarshalText takes a host name without a port, an address or a CIDR.
func (a *Allowed) UnmarshalText(text []byte) error {
	s := lowerHost(string(text))
	if p, err := netip.ParsePrefix(s); err == nil {
		if p != p.Masked() {
			return errors.New("the network " + p.String() + " has bits behind its length: write " + p.Masked().String())
		}
		a.Prefix = p
		return nil
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		a.Prefix = netip.PrefixFrom(ip, ip.BitLen())
		return nil
	}
	if !hostName.MatchString(s) {
		return errors.New("write a host name without scheme and port, an address, or a network like 10.0.0.0/8")
	}
	a.Host = s
	return nil
}

// MayDial says whether the operator named host, or the network of addr, so that a connection is allowed although addr is
// private: by network.allow, or by being the host of a binding. Public addresses need no such permission.
func (s Settings) MayDial(host string, addr netip.Addr) bool {
	host = lowerHost(host)
	for _, a := range s.Network.Allow {
		if (a.Host != "" && a.Host == host) || (a.Prefix.IsValid() && a.Prefix.Contains(addr.Unmap())) {
			return true
		}
	}
	for _, b := range s.Bindings {
		if b.URL.host == host {
			return true
		}
	}
	return false
}
