package redisserver

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// A Way is a connection to a server that can be made slow.
type Way struct {
	addr  string
	delay atomic.Int64
}

// Through opens a way to the server until the test ends.
func (s *Server) Through(t testing.TB) *Way {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w := &Way{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go w.join(client, s.Addr())
		}
	}()
	return w
}

// Addr is what a client connects to.
func (w *Way) Addr() string { return w.addr }

// Slow holds every answer back for a while; zero ends that.
func (w *Way) Slow(d time.Duration) { w.delay.Store(int64(d)) }

func (w *Way) join(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := server.Read(buffer)
		if n > 0 {
			time.Sleep(time.Duration(w.delay.Load()))
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
