package plugin

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"
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
	// Deadline bounds one call when the caller's own is later. Zero: DefaultDeadline.
	Deadline time.Duration
	// Limits bound what is unpacked; a zero field means that of DefaultLimits.
	Limits Limits
	Log    logrus.FieldLogger
}

// Limits bound an archive.
type Limits struct {
	// TotalBytes and FileBytes bound the unpacked bytes in all and of one file.
	TotalBytes, FileBytes int64
	// Files bounds the number of entries.
	Files int
}

// A Server offers a Generator to argocd-repo-server.
type Server struct{ o Options }

// NewServer reads plugin.yaml and checks the options. It touches neither socket nor work directory; Serve does.
func NewServer(o Options) (*Server, error) { return &Server{o: o}, nil }

// Address is the path of the socket.
func (s *Server) Address() string { return "" }

// Serve answers calls until ctx ends, then finishes the renders in flight, within their deadline, and removes the socket.
func (s *Server) Serve(ctx context.Context) error { return nil }
