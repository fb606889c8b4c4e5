package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	cmpplugin "github.com/argoproj/argo-cd/v2/cmpserver/plugin"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tagpin/tagpin/plugin/archive"
	"github.com/tagpin/tagpin/render"
)

func TestServerRenders(t *testing.T) {
	var seen atomic.Pointer[string]
	s := start(t, options(t, shortDir(t)), func(_ context.Context, r render.Request) (render.Result, error) {
		text, err := os.ReadFile(filepath.Join(r.Root, r.Path, "big"))
		if _, gitErr := os.Stat(filepath.Join(r.Root, ".git")); gitErr == nil {
			err = errors.New(".git was unpacked")
		}
		all := string(text)
		seen.Store(&all)
		return render.Result{Manifests: []byte("# a comment\n---\n" + configMap + "---\n" + configMap)}, err
	})
	big := noise(3 << 20)
	root := writeTree(t, map[string]string{"big": big, ".git/config": "x"})
	got, err := s.generate(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !strings.Contains(got[0], "ConfigMap") {
		t.Errorf("manifests %q", got)
	}
	if *seen.Load() != big {
		t.Error("the render saw another file than was sent")
	}
	if left, _ := os.ReadDir(filepath.Join(s.dir, "work")); len(left) != 0 {
		t.Errorf("left in the work directory: %v", left)
	}
}

func TestServerPluginConfiguration(t *testing.T) {
	s := start(t, options(t, shortDir(t)), nil)
	c, err := s.client.CheckPluginConfiguration(t.Context(), &emptypb.Empty{})
	if err != nil || c.IsDiscoveryConfigured || c.ProvideGitCreds {
		t.Errorf("configuration %v, error %v", c, err)
	}
	root := writeTree(t, map[string]string{"big": noise(1 << 20)})
	match, err := s.client.MatchRepository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cmp.SendRepoStream(t.Context(), root, root, match, nil, nil); err != nil {
		t.Fatal(err)
	}
	if m, err := match.CloseAndRecv(); err != nil || m.IsSupported || m.IsDiscoveryEnabled {
		t.Errorf("match %v, error %v", m, err)
	}
}

// Each error arrives as it is, although the client is still sending when it happens.
func TestServerErrorsArrive(t *testing.T) {
	crash := func(context.Context, render.Request) (render.Result, error) { panic("canary") }
	fail := func(_ context.Context, r render.Request) (render.Result, error) {
		return render.Result{}, fmt.Errorf("reading %s/values.yaml: %s is no chart", r.Root, r.Root)
	}
	for name, c := range map[string]struct {
		limits archive.Limits
		render Renderer
		env    []string
		want   string
	}{
		"render":     {render: fail, want: "desc = application echo: reading values.yaml: . is no chart"},
		"panic":      {render: crash, want: "desc = tagpin crashed while working on this; its log says where: please report it"},
		"limit":      {limits: archive.Limits{FileBytes: 10}, want: "desc = big has 1 MiB, more than the limit of 1 MiB for one file: raise limits.file-bytes"},
		"parameters": {env: []string{`ARGOCD_APP_PARAMETERS=[{"name":"imagelist","string":"x"}]`}, want: `desc = application echo: unknown parameter "imagelist": did you mean "image-list"?`},
		"write-back": {env: []string{"ARGOCD_ENV_WRITE_BACK_METHOD=git:secret:argocd/git"},
			want: `desc = application echo: write-back-method "git:secret:argocd/git" is not available in this version: set write-back-method: none`},
		"no objects":  {render: rendering("# nothing\n---\n\n"), want: "desc = application echo: rendered no objects, which would delete all"},
		"empty list":  {render: rendering("apiVersion: v1\nkind: List\nitems: []\n"), want: "desc = application echo: rendered no objects"},
		"broken YAML": {render: rendering("a: [\n"), want: "desc = application echo: splitting the rendered manifests: failed to unmarshal"},
		"long error": {render: func(context.Context, render.Request) (render.Result, error) {
			return render.Result{}, errors.New(strings.Repeat("é", 9000))
		}, want: "é…"},
		"no application": {env: []string{"ARGOCD_APP_NAME="}, want: "desc = ARGOCD_APP_NAME is not set"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, shortDir(t))
			o.Limits = c.limits
			s := start(t, o, c.render)
			_, err := s.generate(t.Context(), writeTree(t, map[string]string{"big": noise(1 << 20)}), c.env...)
			s.wantError(err, c.want)
			if strings.Contains(fmt.Sprint(err), "canary") || strings.Contains(s.log.String(), "level=error") == false {
				t.Errorf("error %v, log %s", err, s.log)
			}
			if _, err := s.client.CheckPluginConfiguration(t.Context(), &emptypb.Empty{}); err != nil {
				t.Errorf("the server is gone: %v", err)
			}
		})
	}
}

func TestServerRefusesStreams(t *testing.T) {
	s := start(t, options(t, shortDir(t)), rendering(configMap))
	for name, c := range map[string]struct {
		metadata *apiclient.ManifestRequestMetadata
		chunks   []string
		want     string
	}{
		"nothing":     {nil, nil, "receiving the request: EOF"},
		"no metadata": {nil, []string{"x"}, "the request does not begin with its metadata"},
		"damaged":     {&apiclient.ManifestRequestMetadata{Checksum: "0123"}, []string{"x", noise(1 << 20)}, "the repository's files arrived damaged"},
		"path outside": {&apiclient.ManifestRequestMetadata{AppRelPath: "a/../../b"}, []string{noise(1 << 20)},
			`the source path "a/../../b" leaves the repository: correct spec.source.path`},
	} {
		t.Run(name, func(t *testing.T) { s.wantError(s.send(c.metadata, c.chunks...), c.want) })
	}
}

func TestServerBoundsRenders(t *testing.T) {
	g := newGate()
	s := start(t, options(t, shortDir(t)), g.render)
	root := writeTree(t, map[string]string{"big": noise(200 << 10)})
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if _, err := s.generate(t.Context(), root); err != nil {
				t.Error(err)
			}
		})
	}
	waitUntil(t, func() bool { return g.running.Load() == 2 })
	if unpacked, _ := os.ReadDir(filepath.Join(s.dir, "work")); len(unpacked) != 2 {
		t.Errorf("%d archives are unpacked", len(unpacked))
	}
	close(g.open)
	all.Wait()
	if got := g.most.Load(); got != 2 {
		t.Errorf("%d renders at a time", got)
	}
}

// A render that overruns its deadline is told at once, but keeps its slot and its files until it ends.
func TestServerDeadline(t *testing.T) {
	g := newGate()
	o := options(t, shortDir(t))
	o.Concurrency, o.Deadline = 1, 200*time.Millisecond
	s := start(t, o, g.render)
	root := writeTree(t, map[string]string{"big": noise(200 << 10)})
	_, err := s.generate(t.Context(), root)
	s.wantError(err, "rendering did not finish within 200ms, the wait for a free slot included: if it is rightly so slow, raise limits.render-timeout")
	_, err = s.generate(t.Context(), root)
	s.wantError(err, "no slot became free within 200ms: the operator can raise limits.concurrent-renders in tagpin.yaml")
	if held, _ := os.ReadDir(filepath.Join(s.dir, "work")); len(held) != 1 {
		t.Errorf("directories %v", held)
	}
	close(g.open)
	waitUntil(t, func() bool {
		_, err := s.generate(t.Context(), root)
		return err == nil
	})
}

func TestServerLogsNoPassword(t *testing.T) {
	s := start(t, options(t, shortDir(t)), rendering(configMap))
	for _, url := range []string{"https://me:canary@git.example.com/demo.git?token=canary", "https://me:canary%zz@git.example.com/x"} {
		if _, err := s.generate(t.Context(), writeTree(t, map[string]string{"a": "b"}), "ARGOCD_APP_SOURCE_REPO_URL="+url); err != nil {
			t.Fatal(err)
		}
	}
	if text := s.log.String(); strings.Contains(text, "canary") || !strings.Contains(text, "https://git.example.com/demo.git") {
		t.Errorf("log %s", text)
	}
}

// A client that stops sending holds its slot and directory no longer than its deadline and the grace.
func TestServerGivesUpOnASilentClient(t *testing.T) {
	o := options(t, shortDir(t))
	o.Concurrency, o.Deadline = 1, 200*time.Millisecond
	s := start(t, o, rendering(configMap))
	stream, err := s.client.GenerateManifest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	silent := &apiclient.AppStreamRequest{Request: &apiclient.AppStreamRequest_Metadata{Metadata: &apiclient.ManifestRequestMetadata{}}}
	if err := stream.Send(silent); err != nil {
		t.Fatal(err)
	}
	err = stream.RecvMsg(&apiclient.ManifestResponse{})
	s.wantError(err, "rendering did not finish within 200ms")
	waitUntil(t, func() bool {
		_, err := s.generate(t.Context(), writeTree(t, map[string]string{"a": "b"}))
		return err == nil
	})
	if held, _ := os.ReadDir(filepath.Join(s.dir, "work")); len(held) != 0 {
		t.Errorf("directories %v", held)
	}
}

// The caller's deadline counts when it is sooner, and our error is there before it.
func TestServerCallersDeadline(t *testing.T) {
	s := start(t, options(t, shortDir(t)), func(ctx context.Context, _ render.Request) (render.Result, error) {
		<-ctx.Done()
		return render.Result{}, errors.New("stopped in time")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := s.generate(ctx, writeTree(t, map[string]string{"a": "b"}))
	s.wantError(err, "application echo: stopped in time")
}

func TestServerStopsGracefully(t *testing.T) {
	g := newGate()
	s := start(t, options(t, shortDir(t)), g.render)
	answered := make(chan error, 1)
	go func() {
		_, err := s.generate(t.Context(), writeTree(t, map[string]string{"a": "b"}))
		answered <- err
	}()
	waitUntil(t, func() bool { return g.running.Load() == 1 })
	s.stop()
	waitUntil(t, func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "tagpin.sock"))
		return err != nil
	})
	close(g.open)
	if err := <-answered; err != nil {
		t.Errorf("the render in flight: %v", err)
	}
}

func TestServerTakesOverAStaleSocket(t *testing.T) {
	dir := shortDir(t)
	listener, err := net.Listen("unix", filepath.Join(dir, "tagpin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()
	if err := os.MkdirAll(filepath.Join(dir, "work", "left", "over"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, options(t, dir), rendering(configMap))
	if _, err := s.generate(t.Context(), writeTree(t, map[string]string{"a": "b"})); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(dir, "work"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("work directory: %v, error %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "work")); len(left) != 0 {
		t.Errorf("left from before: %v", left)
	}

	second, err := NewServer(options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	s.wantError(second.Serve(t.Context()), "another server answers at "+filepath.Join(dir, "tagpin.sock")+": stop it first")
}

func TestServerLeavesOtherFilesAlone(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "tagpin.sock"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := NewServer(options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, server.Serve(t.Context()), filepath.Join(dir, "tagpin.sock")+" is not a socket: move it away, the plugin's socket goes there")
}

func TestNewServer(t *testing.T) {
	const head = "apiVersion: argoproj.io/v1alpha1\nkind: ConfigManagementPlugin\nmetadata: {name: tagpin}\nspec:\n  generate: {command: [x]}\n"
	for name, c := range map[string]struct{ config, dir, want, socket string }{
		"plain":     {config: head, dir: "/p", socket: "/p/tagpin.sock"},
		"versioned": {config: head + "  version: v1.2\n", dir: "/p", socket: "/p/tagpin-v1.2.sock"},
		"discovery": {config: head + "  discover: {fileName: Chart.yaml}\n",
			want: "plugin.yaml in DIR: spec.discover makes every application of Argo CD send its repository here: remove it, and name the plugin in the Applications"},
		"init":      {config: head + "  init: {command: [x]}\n", want: "plugin.yaml in DIR: spec.init is not run by `tagpin serve`: remove it"},
		"file mode": {config: head + "  preserveFileMode: true\n", want: "plugin.yaml in DIR: spec.preserveFileMode has no effect, since nothing from a repository is executed: remove it"},
		"no command": {config: "kind: ConfigManagementPlugin\nmetadata: {name: tagpin}\n",
			want: "reading plugin.yaml in DIR: invalid plugin configuration file. spec.generate command should be non-empty"},
		"long path": {config: head, dir: "/" + strings.Repeat("p", 100),
			want: "the socket's path /" + strings.Repeat("p", 100) + "/tagpin.sock is longer than 107 bytes: choose a shorter plugins directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeTree(t, map[string]string{"plugin.yaml": c.config})
			server, err := NewServer(Options{ConfigDir: dir, PluginsDir: c.dir})
			wantError(t, err, strings.ReplaceAll(c.want, "DIR", dir))
			if err == nil && server.Address() != c.socket {
				t.Errorf("socket %s", server.Address())
			}
		})
	}
}

// The shipped plugin.yaml works for both servers.
func TestShippedPluginConfig(t *testing.T) {
	config, err := cmpplugin.ReadPluginConfig("..")
	if err != nil {
		t.Fatal(err)
	}
	if got := socketName(config); got != "tagpin.sock" {
		t.Errorf("socket %s", got)
	}
	if got := strings.Join(config.Spec.Generate.Command, " ") + "; " + strings.Join(config.Spec.Parameters.Dynamic.Command, " "); got != "tagpin generate; tagpin parameters" {
		t.Errorf("commands %s", got)
	}
}

// argocd-repo-server pings every 20 s while it waits; a server with gRPC's own policy ends such a connection at the fourth
// ping. Here the pings come faster, and the minimum is set as low through argo-cd's variable.
func TestServerAllowsKeepalive(t *testing.T) {
	t.Setenv("ARGOCD_GRPC_KEEP_ALIVE_MIN", "1ms")
	s := start(t, options(t, shortDir(t)), nil)
	conn, err := net.Dial("unix", filepath.Join(s.dir, "tagpin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	frames := http2.NewFramer(conn, conn)
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, h := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/plugin.ConfigManagementPluginService/GenerateManifest"},
		{":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	open := http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndHeaders: true}
	if err := errors.Join(frames.WriteSettings(), frames.WriteHeaders(open)); err != nil {
		t.Fatal(err)
	}
	for answered := 0; answered < 8; {
		time.Sleep(5 * time.Millisecond)
		if err := frames.WritePing(false, [8]byte{1}); err != nil {
			t.Fatal(err)
		}
		for pong := false; !pong; {
			frame, err := frames.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if bye, ok := frame.(*http2.GoAwayFrame); ok {
				t.Fatalf("the server ends the connection: %s", bye)
			}
			if ping, ok := frame.(*http2.PingFrame); ok && ping.IsAck() && ping.Data[0] == 1 {
				pong = true
				answered++
			}
		}
	}
}

// Many calls, good and bad, leave neither goroutines nor open files behind.
func TestServerLeaksNothing(t *testing.T) {
	s := start(t, options(t, shortDir(t)), rendering(configMap))
	root := writeTree(t, map[string]string{"a": "b"})
	round := func() {
		for range 10 {
			_, _ = s.generate(t.Context(), root)
			_, _ = s.generate(t.Context(), root, "ARGOCD_APP_NAME=")
			_ = s.send(&apiclient.ManifestRequestMetadata{Checksum: "0123"}, "x")
		}
	}
	round()
	goroutines, opened := settled(t)
	round()
	if g, o := settled(t); g > goroutines+3 || o > opened+3 {
		t.Errorf("%d goroutines and %d open files became %d and %d", goroutines, opened, g, o)
	}
}

// settled counts goroutines and open files once they no longer change.
func settled(t *testing.T) (goroutines, files int) {
	t.Helper()
	for last := -1; last != goroutines; {
		last = runtime.NumGoroutine()
		time.Sleep(50 * time.Millisecond)
		goroutines = runtime.NumGoroutine()
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	return goroutines, len(open)
}
