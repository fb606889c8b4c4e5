package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/metrics"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/render"
)

// monitorFlags open what operators watch a running process by.
type monitorFlags struct{ addr, profiles string }

func (f *monitorFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.addr, "metrics-addr", "", "where Prometheus asks for /metrics, and probes for /healthz and /readyz, such as :8089; empty: nowhere")
	flags.StringVar(&f.profiles, "pprof-socket", "", "a Unix socket that tagpin profile asks, open to this user alone; empty: none")
}

// A monitor is what monitorFlags opened.
type monitor struct {
	metrics, profiles net.Listener // nil where it is off
	e                 *engine
}

func (f *monitorFlags) open(ctx context.Context, e *engine) (m *monitor, err error) {
	m = &monitor{e: e}
	if f.addr != "" {
		if m.metrics, err = new(net.ListenConfig).Listen(ctx, "tcp", f.addr); err != nil {
			return nil, fmt.Errorf("--metrics-addr: %w", err)
		}
		e.log.Infof("metrics are at http://%s/metrics", m.metrics.Addr())
	}
	if f.profiles != "" {
		if m.profiles, err = listenPrivate(ctx, f.profiles); err != nil {
			return nil, fmt.Errorf("--pprof-socket: %w", err)
		}
	}
	return m, nil
}

// start answers in the background until stop. ready is asked for /readyz. That something can't be served is logged and stops
// nothing: renders and updates matter more than being watched.
func (m *monitor) start(ctx context.Context, ready func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var ended []chan struct{}
	serve := func(listener net.Listener, serve func() error) {
		if listener == nil {
			return
		}
		done := make(chan struct{})
		ended = append(ended, done)
		go func() {
			defer close(done)
			if err := serve(); err != nil {
				m.e.log.WithError(err).Errorf("nobody answers at %s any more", listener.Addr())
			}
		}()
	}
	serve(m.metrics, func() error { return metrics.Serve(ctx, m.metrics, m.e.metrics.Handler(ready, m.e.log)) })
	serve(m.profiles, func() error { return serveProfiles(ctx, m.profiles) })
	return func() {
		cancel()
		for _, done := range ended {
			<-done
		}
	}
}

// ready says whether the loop knows what to update.
func (u *updater) ready(context.Context) error { return u.Backlog().Unread }

// connects says whether somebody listens at a Unix socket.
func connects(socket string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: statusTimeout}).DialContext(ctx, "unix", socket)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

// told makes a metric of a call's record.
func (e *engine) told(c plugin.Call) {
	job := "manifests"
	if c.Job == plugin.Announcing {
		job = "parameters"
	}
	e.metrics.Render(metrics.Render{Job: job, Bytes: c.Bytes, Failed: c.Err != nil, Late: c.Late, Queued: c.Queued, Staged: c.Staged, Took: c.Took})
}

// timedPins measures the reading of pins.
type timedPins struct {
	plugin.Pins
	m *metrics.Metrics
}

// Read implements plugin.Pins.
func (t timedPins) Read(dir plugin.Dir, app image.Application, o image.Options) ([]image.Pin, error) {
	defer t.m.Timed(metrics.ReadPins)()
	return t.Pins.Read(dir, app, o)
}

// timedResolver measures what live renders ask.
type timedResolver struct {
	plugin.Resolver
	m *metrics.Metrics
}

// Resolve implements plugin.Resolver.
func (t timedResolver) Resolve(ctx context.Context, app image.Application, entry image.Entry) (image.Choice, error) {
	defer t.m.Timed(metrics.Resolve)()
	return t.Resolver.Resolve(ctx, app, entry)
}

// timedRenderer measures the template engines.
func timedRenderer(next plugin.Renderer, m *metrics.Metrics) plugin.Renderer {
	return func(ctx context.Context, r render.Request) (render.Result, error) {
		defer m.Timed(metrics.Template)()
		return next(ctx, r)
	}
}
