package main

import (
	"context"

	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/reconcile"
)

// A recorder tells an update loop elsewhere which applications are rendered.
type recorder struct {
	*reconcile.Recorder
	shared *sharing
	socket string
}

// recorder is one that tells nobody where there is no Redis: then the loop knows its applications by itself.
func (f *updateFlags) recorder(e *engine) (companion, error) {
	if err := f.expiry.check(); err != nil {
		return nil, err
	}
	shared := e.share(f.expiry)
	if shared == nil {
		return silentCompanion{}, nil
	}
	return &recorder{reconcile.NewRecorder(shared.store, e.log), shared, f.socket}, nil
}

// Observe implements plugin.Observer.
func (r *recorder) Observe(o plugin.Observation) { r.Recorder.Observe(hintOf(o)) }

func (r *recorder) start(ctx context.Context, e *engine) (stop func(), err error) {
	e.log.Info("newer tags are pinned by tagpin update: renders tell it by Redis which applications there are")
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopSharing := r.shared.start(ctx, nil)
	closeStatus := serveStatus(ctx, r.socket, func(ctx context.Context) []reconcile.Status { return r.shared.status(ctx, nil) }, e.log)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return func() {
		closeStatus()
		cancel()
		<-done
		stopSharing()
	}, nil
}

func (r *recorder) close() {}

// silentCompanion does nothing.
type silentCompanion struct{}

func (silentCompanion) Observe(plugin.Observation) {}

func (silentCompanion) start(_ context.Context, e *engine) (stop func(), err error) {
	e.log.Info("no newer tag is pinned by this process, and none is told which applications there are: tagpin update --app takes them from " +
		"manifests, or --redis tells them")
	return func() {}, nil
}

func (silentCompanion) close() {}
