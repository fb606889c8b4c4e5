package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	cmpplugin "github.com/argoproj/argo-cd/v2/cmpserver/plugin"
	"github.com/argoproj/argo-cd/v2/common"
	"github.com/argoproj/argo-cd/v2/util/askpass"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/tagpin/tagpin/plugin/archive"
)

const (
	// DefaultDeadline leaves a quarter of the minute that Argo CD from v3.1 on grants to checkout, packing and rendering.
	DefaultDeadline = 45 * time.Second
	// maxSocketPath is what the kernel takes for the path of a Unix socket (sockaddr_un.sun_path, with its final zero byte).
	maxSocketPath = 107
	// probe is how long another server may take to accept a connection; a live one does at once.
	probe = time.Second
)

// Options make a Server.
type Options struct {
	Generator *Generator
	// ConfigDir holds plugin.yaml, which gives the socket its name.
	ConfigDir string
	// PluginsDir is where argocd-repo-server looks for sockets. Empty: ARGOCD_PLUGINSOCKFILEPATH, or Argo CD's default.
	PluginsDir string
	// WorkDir is emptied at start and holds the files of the renders. Empty: _tagpin in the temporary directory.
	WorkDir string
	// Concurrency bounds the renders that run, and the archives that are unpacked, at a time. Zero: the number of cores.
	Concurrency int
	// Deadline bounds one call where its caller's own is later. Zero: DefaultDeadline.
	Deadline time.Duration
	// Limits bound what is unpacked; a zero field means that of archive.DefaultLimits.
	Limits archive.Limits
	// Keeper gets the credentials that Argo CD lends to the second plugin name, "<name>-repocreds". Nil: there is no second name.
	Keeper CredentialKeeper
	// AskPass is the repo-server's askpass socket. Empty: ARGOCD_ASK_PASS_SOCK, or Argo CD's default.
	AskPass string
	// Log is told of every call. Nil: the standard logger.
	Log logrus.FieldLogger
	// Told hears of every call, too, when it is answered. It must not block. May be nil.
	Told func(Call)
}

// A Server offers a Generator to argocd-repo-server.
type Server struct {
	address string
	service *service
	// second serves the plugin name that is given credentials; nil where there is none.
	second *Server
}

// NewServer reads plugin.yaml and checks the options. It touches neither socket nor work directory; Serve does.
func NewServer(o Options) (*Server, error) {
	config, err := cmpplugin.ReadPluginConfig(o.ConfigDir)
	if err != nil {
		return nil, fmt.Errorf("reading plugin.yaml in %s: %w", o.ConfigDir, err)
	}
	if err := checkConfig(config.Spec); err != nil {
		return nil, fmt.Errorf("plugin.yaml in %s: %w", o.ConfigDir, err)
	}
	if o.Concurrency < 0 || o.Deadline < 0 {
		return nil, errors.New("the number of concurrent renders and the render timeout can't be negative")
	}
	if o.Log == nil {
		o.Log = logrus.StandardLogger()
	}
	dir := cmp.Or(o.PluginsDir, common.GetPluginSockFilePath())
	server, err := newServer(dir, &service{
		generator: o.Generator,
		config:    config,
		queue:     newQueue(cmp.Or(o.Concurrency, runtime.GOMAXPROCS(0))),
		workDir:   cmp.Or(o.WorkDir, filepath.Join(os.TempDir(), "_tagpin")),
		limits:    o.Limits.OrDefault(),
		deadline:  cmp.Or(o.Deadline, DefaultDeadline),
		grace:     graceDrain,
		keeper:    o.Keeper,
		askPass:   cmp.Or(o.AskPass, askpass.SocketPath),
		log:       o.Log,
		told:      o.Told,
	})
	if err == nil && o.Keeper != nil && !config.Spec.ProvideGitCreds {
		server.second, err = newServer(dir, server.service.withCredentials())
	}
	return server, err
}

func newServer(dir string, s *service) (*Server, error) {
	address := filepath.Join(dir, socketName(s.config))
	if len(address) > maxSocketPath {
		return nil, fmt.Errorf("the socket's path %s is longer than %d bytes: choose a shorter plugins directory", address, maxSocketPath)
	}
	return &Server{address: address, service: s}, nil
}

// withCredentials is the same service under the name that Argo CD lends credentials to. It shares the slots.
func (s *service) withCredentials() *service {
	second, config := *s, *s.config
	config.Metadata.Name += repoCredsSuffix
	config.Spec.ProvideGitCreds = true
	second.config = &config
	return &second
}

// socketName is how argocd-repo-server, and every Application, calls the plugin (PluginConfig.Address).
func socketName(config *cmpplugin.PluginConfig) string {
	if config.Spec.Version != "" {
		return config.Metadata.Name + "-" + config.Spec.Version + ".sock"
	}
	return config.Metadata.Name + ".sock"
}

// checkConfig refuses what this server would not do: it runs no command.
func checkConfig(spec cmpplugin.PluginConfigSpec) error {
	switch {
	case spec.Discover.IsDefined():
		return errors.New("spec.discover makes every application of Argo CD send its repository here: remove it, and name the " +
			"plugin in the Applications")
	case len(spec.Init.Command) > 0:
		return errors.New("spec.init is not run by `tagpin serve`: remove it")
	case spec.PreserveFileMode:
		return errors.New("spec.preserveFileMode has no effect, since nothing from a repository is executed: remove it")
	}
	return nil
}

// Address is the path of the socket.
func (s *Server) Address() string { return s.address }

// Load is how many calls work now, and how many wait for a slot.
func (s *Server) Load() (working, waiting int) { return s.service.queue.load() }

// Serve answers calls until ctx ends, then finishes the renders in flight, within their deadline, and removes the sockets.
func (s *Server) Serve(ctx context.Context) error {
	listener, err := listen(ctx, s.address)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := emptyDir(s.service.workDir); err != nil {
		return err
	}
	serving, ctx := errgroup.WithContext(ctx) // one that fails stops the other
	serving.Go(func() error { return s.answer(ctx, listener) })
	if s.second != nil {
		second, err := listen(ctx, s.second.address)
		if err != nil {
			return err
		}
		defer second.Close()
		serving.Go(func() error { return s.second.answer(ctx, second) })
	}
	if err := serving.Wait(); err != nil {
		return err
	}
	return os.RemoveAll(s.service.workDir)
}

// answer serves one socket until ctx ends.
func (s *Server) answer(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(apiclient.MaxGRPCMessageSize),
		grpc.MaxSendMsgSize(apiclient.MaxGRPCMessageSize),
		// argocd-repo-server pings every 20 s. gRPC's own minimum of 5 min would end each render that takes longer than a minute.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: common.GetGRPCKeepAliveEnforcementMinimum()}),
	)
	apiclient.RegisterConfigManagementPluginServiceServer(server, s.service)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", s.address, err)
	case <-ctx.Done():
	}
	s.stop(server)
	return nil
}

// stop waits for the calls in flight; each has a deadline.
func (s *Server) stop(server *grpc.Server) {
	atLast := time.AfterFunc(s.service.deadline+s.service.grace, server.Stop)
	defer atLast.Stop()
	server.GracefulStop()
}

// listen takes the socket over from a server that is gone. The listener removes it when it is closed.
func listen(ctx context.Context, address string) (net.Listener, error) {
	if err := removeStale(ctx, address); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", address)
	if err != nil {
		return nil, fmt.Errorf("opening the plugin's socket: %w", err)
	}
	return listener, nil
}

// removeStale removes a socket that nobody listens at any more.
func removeStale(ctx context.Context, address string) error {
	info, err := os.Lstat(address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is not a socket: move it away, the plugin's socket goes there", address)
	}
	conn, err := (&net.Dialer{Timeout: probe}).DialContext(ctx, "unix", address)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("another server answers at %s: stop it first, or give this one another plugin name", address)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(address)
	default:
		return fmt.Errorf("there is a socket already: %w", err)
	}
}

// emptyDir makes a directory that only this user can read, without what an earlier process left in it.
func emptyDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("emptying the work directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("making the work directory: %w", err)
	}
	return nil
}
