package network

import (
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for addr, want := range map[string]string{
		"140.82.112.33":       "",
		"2606:50c0:8000::153": "",
		"127.0.0.1":           "a loopback",
		"::1":                 "a loopback",
		"::ffff:127.0.0.1":    "a loopback",
		"64:ff9b::7f00:1":     "a loopback",
		"0.0.0.0":             "an unspecified",
		"::":                  "an unspecified",
		"169.254.0.7":         "a link-local",
		"fe80::1%eth0":        "a link-local",
		"10.1.2.3":            Private,
		"172.16.0.1":          Private,
		"192.168.1.1":         Private,
		"fd12::1":             Private,
		"100.64.0.1":          Shared,
		"239.1.2.3":           "a multicast",
		"ff02::1":             "a link-local",
		"255.255.255.255":     "a reserved",
		"169.254.169.254":     Metadata,
		"100.100.100.200":     Metadata,
		"fd00:ec2::254":       Metadata,
	} {
		if got := Refused(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestDialChecksWhatNamesResolveTo(t *testing.T) {
	s := httptest.NewServer(nil)
	defer s.Close()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	public := Guard(func(_, _ string, a netip.Addr) string { return Refused(a) })
	for _, host := range []string{"localhost", "127.0.0.1", "LOCALHOST."} {
		if c, err := public.Dial(t.Context(), "tcp", net.JoinHostPort(host, port)); err == nil {
			c.Close()
			t.Errorf("%s was dialled", host)
		}
	}
	named := Guard(func(host, at string, a netip.Addr) string {
		if host == "localhost" && at == port {
			return ""
		}
		return Refused(a)
	})
	c, err := named.Dial(t.Context(), "tcp", net.JoinHostPort("LocalHost", port))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
