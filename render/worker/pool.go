// Package worker renders in processes of their own, so that an endless or huge template ends one render and not the server.
// Make a Pool and give its Render method where a renderer is wanted; main calls Main first when IsWorker says so.
package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/render"
)

const (
	// DefaultMemory is what one worker may hold, in bytes.
	DefaultMemory = 512 << 20
	// watchEvery is how often a worker's memory is looked at.
	watchEvery = 50 * time.Millisecond
	// maxRenders ends a worker before what libraries keep for ever adds up.
	maxRenders = 500
)

var errClosed = errors.New("rendering was called off: tagpin is stopping")

// Options make a Pool.
type Options struct {
	// Size is how many renders run at a time, and how many idle workers are kept. At least 1.
	Size int
	// Memory bounds what one worker holds, in bytes. Zero: DefaultMemory.
	Memory int64
	// RequireIsolation makes it an error if the kernel refuses a worker a network of its own, with nothing in it.
	RequireIsolation bool
	// Log is told once where the kernel refuses. Nil: the standard logger.
	Log logrus.FieldLogger
}

// A Pool is a number of workers. It is safe for concurrent use.
type Pool struct {
	o       Options
	slots   chan struct{}
	idle    chan *process
	open    atomic.Bool // workers are started without a network namespace
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// NewPool starts the first worker, so that an installation in which none can start is told at once.
func NewPool(o Options) (*Pool, error) {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Log == nil {
		o.Log = logrus.StandardLogger()
	}
	o.Size = max(o.Size, 1)
	p := &Pool{o: o, slots: make(chan struct{}, o.Size), idle: make(chan *process, o.Size)}
	first, err := p.start()
	if err != nil {
		return nil, err
	}
	p.idle <- first
	return p, nil
}

func (p *Pool) start() (*process, error) {
	if p.open.Load() {
		return start(p.o.Memory, false)
	}
	w, err := start(p.o.Memory, true)
	if err == nil {
		return w, nil
	}
	if p.o.RequireIsolation {
		return nil, fmt.Errorf("the kernel allows no network namespace without privileges: allow user namespaces, or don't require it: %w", err)
	}
	if w, err = start(p.o.Memory, false); err == nil && p.open.CompareAndSwap(false, true) {
		p.o.Log.Warn("render workers share the server's network: the kernel allows no network namespace without privileges")
	}
	return w, err
}

// Render renders in a worker. It returns when the worker is done with it or gone. Errors have package render's text.
func (p *Pool) Render(ctx context.Context, r render.Request) (render.Result, error) {
	if !p.enter() {
		return render.Result{}, errClosed
	}
	defer p.running.Done()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return render.Result{}, interrupted(ctx)
	}
	w, err := p.take()
	if err != nil {
		return render.Result{}, err
	}
	a, err := p.ask(ctx, w, r)
	w.renders++
	if err != nil || w.renders >= maxRenders || w.resident() > p.o.Memory/2 {
		w.end()
		p.replace()
	} else {
		p.idle <- w // never full: as many as there are slots
	}
	if err != nil {
		return render.Result{}, err
	}
	return a.unpack()
}

func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.running.Add(1)
	}
	return !p.closed
}

func (p *Pool) take() (*process, error) {
	select {
	case w := <-p.idle:
		return w, nil
	default:
		return p.start()
	}
}

// replace starts the worker that the next render takes. A failure is the next render's to tell: it tries again.
func (p *Pool) replace() {
	w, err := p.start()
	if err != nil {
		return
	}
	select {
	case p.idle <- w:
	default:
		w.end()
	}
}

// ask sends one request. After an error the worker is of no use.
func (p *Pool) ask(ctx context.Context, w *process, r render.Request) (answer, error) {
	var a answer
	done := make(chan error, 1)
	go func() {
		err := send(w.requests, r)
		if err == nil {
			err = receive(w.answers, &a)
		}
		done <- err
	}()
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				w.end()
				return answer{}, p.died(w, r.Path)
			}
			return a, nil
		case <-ctx.Done():
			w.end()
			<-done //nolint:errcheck // the worker was ended: what it says is no answer
			return answer{}, interrupted(ctx)
		case <-watch.C:
			if w.resident() > p.o.Memory {
				w.end()
				<-done //nolint:errcheck // the worker was ended: what it says is no answer
				return answer{}, p.tooMuch(r.Path)
			}
		}
	}
}

func (p *Pool) tooMuch(path string) error {
	return fmt.Errorf("rendering %q was ended at %d MiB of memory: look for a template that loops or a huge list, split the "+
		"application, or have the operator raise --render-memory", path, p.o.Memory>>20)
}

// died says why a worker ended by itself. What it printed is not shown.
func (p *Pool) died(w *process, path string) error {
	if w.stderr.says("stack overflow") || w.stderr.says("stack exceeds") {
		return fmt.Errorf("rendering %q: a template includes itself without end: look for include, template or tpl", path)
	}
	return fmt.Errorf("rendering %q ended its worker process, most often for want of memory: split the application, or have the "+
		"operator raise the container's memory limit", path)
}

func interrupted(ctx context.Context) error {
	err := context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("rendering did not finish in time: look for a template that loops or an endless list: %w", err)
	}
	return fmt.Errorf("rendering was called off: %w", err)
}

// Close refuses new renders, waits for those under way and ends the workers.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
	for {
		select {
		case w := <-p.idle:
			w.end()
		default:
			return
		}
	}
}
