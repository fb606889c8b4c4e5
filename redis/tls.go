package redis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLS are the files of a TLS connection. Empty ones are left out: then the system's authorities count, and no certificate is
// shown.
type TLS struct {
	CA, Cert, Key string
	// Insecure verifies nothing.
	Insecure bool
}

// Config reads the files.
func (t TLS) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.Insecure} //nolint:gosec // the operator's own word
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("--redis-ca-certificate: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--redis-ca-certificate: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		certificate, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("--redis-client-certificate and --redis-client-key: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
