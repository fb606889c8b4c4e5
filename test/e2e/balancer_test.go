package e2e

import (
	"io"
	"net"
	"sync"
)

// A balancer is the Service of the repo-server: each connection goes to the next replica.
type balancer struct {
	mu       sync.Mutex
	backends []string
	next     int
}

func (b *balancer) add(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = append(b.backends, addr)
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.backends[b.next%len(b.backends)]
}

func (b *balancer) serve(w *world) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:"+repoServerPort)
	if err != nil {
		w.t.Fatal(err)
	}
	w.root.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go join(conn, b.pick())
		}
	}()
}

// join passes bytes both ways until one side ends.
func join(conn net.Conn, addr string) {
	defer conn.Close()
	backend, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer backend.Close()
	go func() {
		_, _ = io.Copy(backend, conn)
		backend.Close()
	}()
	_, _ = io.Copy(conn, backend)
}
