package gitserver

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// listener counts the bytes of its connections.
type listener struct {
	net.Listener
	counter *counter
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, counter: l.counter}, nil
}

type conn struct {
	net.Conn
	counter *counter
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.counter.bytes(0, n)
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.counter.bytes(n, 0)
	return n, err
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Status answers every request with a status code and a body.
func Status(code int, body string) Failure {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, body, code)
		return true
	}
}

// Redirect sends every request elsewhere, path and query kept.
func Redirect(base string) Failure {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return true
	}
}

// Garbage answers in the right content type with bytes that are no Git protocol.
func Garbage() Failure {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/x-"+r.URL.Query().Get("service")+"-advertisement")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000zzzz\x00\x1b[31m garbage"))
		return true
	}
}

// Reset breaks every connection off.
func Reset() Failure {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Close()
		}
		return true
	}
}

// Slow answers no request before it was given up, or d has passed; then the server answers.
func Slow(d time.Duration) Failure {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-r.Context().Done():
			return true
		case <-time.After(d):
			return false
		}
	}
}
