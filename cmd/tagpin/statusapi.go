package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
)

// defaultStatusSocket lies outside of the plugins directory, where argocd-repo-server takes every socket for a plugin.
func defaultStatusSocket() string { return filepath.Join(os.TempDir(), "tagpin", "status.sock") }

const statusPath = "/status"

// statusReply is what GET /status and `tagpin status --output json` answer. Scripts rely on its keys.
type statusReply struct {
	Version      string      `json:"version"`
	Applications []appStatus `json:"applications"`
}

// appStatus is reconcile.Status with names of its own and no user information in the repository's URL.
type appStatus struct {
	Name           string                  `json:"name"`
	Project        string                  `json:"project,omitempty"`
	RepoURL        string                  `json:"repoURL"`
	Path           string                  `json:"path"`
	TargetRevision string                  `json:"targetRevision,omitempty"`
	State          image.State             `json:"state"`
	Reason         string                  `json:"reason,omitempty"`
	Checked        time.Time               `json:"checked"`
	Commit         string                  `json:"commit,omitempty"`
	Updater        string                  `json:"updater,omitempty"`
	Images         []reconcile.ImageStatus `json:"images"`
}

func newStatusReply(all []reconcile.Status) statusReply {
	reply := statusReply{Version: version, Applications: []appStatus{}}
	for _, s := range all {
		reply.Applications = append(reply.Applications, appStatus{
			Name: s.App.Name, Project: s.App.Project, RepoURL: withoutUser(s.App.RepoURL), Path: s.App.Path, TargetRevision: s.App.TargetRevision,
			State: s.State, Reason: s.Reason, Checked: s.Checked.UTC(), Commit: s.Commit, Updater: s.Updater, Images: append([]reconcile.ImageStatus{}, s.Images...),
		})
	}
	return reply
}

// withoutUser takes user and password out of a URL: an Application may hold one that no binding would allow.
func withoutUser(raw string) string {
	if !strings.Contains(raw, "://") {
		return raw // git@host:path
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// serveStatus answers GET /status until it is closed. That it can't is logged and stops nothing: renders and updates matter
// more than being asked about.
func serveStatus(ctx context.Context, socket string, status func(context.Context) []reconcile.Status, log *logrus.Logger) (closeStatus func()) {
	if socket == "" {
		return func() {}
	}
	listener, err := listenPrivate(ctx, socket)
	if err != nil {
		log.WithError(err).Error("tagpin status will find nobody: choose another --status-socket")
		return func() {}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = encodeStatus(w, newStatusReply(status(r.Context()))) // a client that went away
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: statusTimeout, WriteTimeout: statusTimeout}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return func() { _ = server.Close() }
}

// listenPrivate opens a socket for this user alone, and takes it over from a process that is gone.
func listenPrivate(ctx context.Context, socket string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, socket) {
		if err := os.Remove(socket); err != nil {
			return nil, err
		}
		listener, err = new(net.ListenConfig).Listen(ctx, "unix", socket)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// abandoned says whether a socket has nobody behind it.
func abandoned(ctx context.Context, socket string) bool {
	info, err := os.Lstat(socket)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	conn, err := (&net.Dialer{Timeout: statusTimeout}).DialContext(ctx, "unix", socket)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// checkStatusSocket keeps the socket out of the plugins directory.
func checkStatusSocket(socket, plugin string) error {
	if socket != "" && filepath.Dir(filepath.Clean(socket)) == filepath.Dir(filepath.Clean(plugin)) {
		return fmt.Errorf("--status-socket %s lies in the plugins directory, where Argo CD takes every socket for a plugin: choose another directory", socket)
	}
	return nil
}
