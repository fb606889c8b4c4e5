package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// What a registry sends fits in one packet; whoever is slower than this is not waited for.
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	idleTimeout   = 30 * time.Second
	maxHeader     = 16 << 10
	// maxConnections leaves file descriptors to renders; more connections wait.
	maxConnections = 256
)

// Files are a certificate chain and its key in PEM; both empty: no TLS. They are read again for each connection, so that a
// renewed certificate counts at once.
type Files struct{ Cert, Key string }

// Listen opens the port. The certificate must be readable by then.
func Listen(ctx context.Context, addr string, f Files) (net.Listener, error) {
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("a certificate and its key go together: name both files, or none")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	listener = &bounded{Listener: listener, slots: make(chan struct{}, maxConnections)}
	if f.Cert == "" {
		return listener, nil
	}
	pair := &certificate{files: f}
	if _, err := pair.get(nil); err != nil {
		listener.Close()
		return nil, err
	}
	return tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}), nil
}

// Serve answers until ctx ends, and closes the listener.
func (h *Handler) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       log.New(io.Discard, "", 0), // strangers' broken handshakes
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A certificate is the last good content of its files.
type certificate struct {
	files Files
	mu    sync.Mutex
	last  *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	switch {
	case err == nil:
		c.last = &pair
	case c.last == nil:
		return nil, fmt.Errorf("the certificate %s with its key: %w", c.files.Cert, err)
	}
	return c.last, nil // the two files of a renewal may differ for a moment
}

// bounded accepts no connection before there is room for it.
type bounded struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	b.slots <- struct{}{}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &slotted{Conn: conn, free: sync.OnceFunc(func() { <-b.slots })}, nil
}

type slotted struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (s *slotted) Close() error {
	defer s.free()
	return s.Conn.Close()
}
