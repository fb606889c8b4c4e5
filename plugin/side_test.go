package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/render"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n"

// rendering is a Renderer with a fixed answer.
func rendering(text string) Renderer {
	return func(context.Context, render.Request) (render.Result, error) {
		return render.Result{Type: render.Helm, Manifests: []byte(text)}, nil
	}
}

// shortDir leaves room for a socket's name: a Unix socket's path has 107 bytes at most.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// logBuffer collects a log.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A side is a running server with argo-cd's own client.
type side struct {
	t      *testing.T
	dir    string // the plugins directory, with the work directory "work" in it
	client apiclient.ConfigManagementPluginServiceClient
	server *Server
	log    *logBuffer
	stop   context.CancelFunc
	done   chan error
}

func options(t *testing.T, dir string) Options {
	t.Helper()
	return Options{ConfigDir: "..", PluginsDir: dir, WorkDir: filepath.Join(dir, "work"), Concurrency: 2}
}

func start(t *testing.T, o Options, r Renderer) *side {
	t.Helper()
	s := &side{t: t, dir: o.PluginsDir, log: &logBuffer{}, done: make(chan error, 1)}
	log := logrus.New()
	log.SetOutput(s.log)
	o.Log = log
	o.Generator = NewGenerator(Settings{Render: r, Log: log, Resolver: echoResolver{}})
	server, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.server = server
	server.service.grace = 200 * time.Millisecond
	var ctx context.Context
	ctx, s.stop = context.WithCancel(t.Context())
	go func() { s.done <- server.Serve(ctx) }()
	waitUntil(t, func() bool {
		conn, err := net.Dial("unix", server.Address())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	closer, client, err := apiclient.NewConfigManagementPluginClientSet(server.Address()).NewConfigManagementPluginClient()
	if err != nil {
		t.Fatal(err)
	}
	s.client = client
	t.Cleanup(func() {
		closer.Close()
		s.stop()
		if err := <-s.done; err != nil {
			t.Errorf("serving: %v", err)
		}
		if _, err := os.Stat(server.Address()); err == nil {
			t.Error("the socket is still there")
		}
		if _, err := os.Stat(o.WorkDir); err == nil {
			t.Error("the work directory is still there")
		}
	})
	return s
}

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for range 2000 {
		if done() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

// echoResolver chooses the tag v2.0 of every image.
type echoResolver struct{}

func (echoResolver) Resolve(_ context.Context, _ image.Application, e image.Entry) (image.Choice, error) {
	return image.Choice{Image: e.Image, Strategy: e.Policy.Strategy, Tag: "v2.0"}, nil
}

var echoEnv = []string{"ARGOCD_APP_NAME=echo", "ARGOCD_APP_SOURCE_REPO_URL=https://git.example.com/demo.git", "ARGOCD_APP_SOURCE_PATH=."}

// generate calls as argocd-repo-server does (generateManifestsCMP).
func (s *side) generate(ctx context.Context, root string, env ...string) ([]string, error) {
	return s.generateAt(ctx, root, ".", env...)
}

// generateAt is generate for an application in a directory of the repository.
func (s *side) generateAt(ctx context.Context, root, dir string, env ...string) ([]string, error) {
	stream, err := s.client.GenerateManifest(ctx)
	if err != nil {
		return nil, err
	}
	if err := cmp.SendRepoStream(stream.Context(), filepath.Join(root, dir), root, stream, append(append([]string{}, echoEnv...), env...), nil); err != nil {
		return nil, fmt.Errorf("error sending file to cmp-server: %w", err)
	}
	response, err := stream.CloseAndRecv()
	return response.GetManifests(), err
}

func (s *side) wantError(err error, want string) {
	s.t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		s.t.Errorf("error\n got: %v\nwant: %s", err, want)
	}
}

// noise is a file that does not compress: the client sends it in a thousand chunks and more.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// send is a client of our own, for streams that argo-cd's never sends.
func (s *side) send(metadata *apiclient.ManifestRequestMetadata, chunks ...string) error {
	stream, err := s.client.GenerateManifest(s.t.Context())
	if err != nil {
		return err
	}
	if metadata != nil {
		err = stream.Send(&apiclient.AppStreamRequest{Request: &apiclient.AppStreamRequest_Metadata{Metadata: metadata}})
	}
	for _, c := range chunks {
		err = errors.Join(err, stream.Send(cmp.AppFileRequest([]byte(c))))
	}
	_, closeErr := stream.CloseAndRecv()
	return errors.Join(err, closeErr)
}

// gate is a Renderer that waits until it is opened, whatever the context says: like Helm's engine.
type gate struct {
	open    chan struct{}
	running atomic.Int32
	most    atomic.Int32
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) render(context.Context, render.Request) (render.Result, error) {
	n := g.running.Add(1)
	defer g.running.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	<-g.open
	return render.Result{Manifests: []byte(configMap)}, nil
}
