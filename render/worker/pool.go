// Package worker renders in processes of their own, so that an endless or huge template ends one render and not the server.
// Make a Pool and give its Render method where a renderer is wanted; main calls Main first when IsWorker says so.
package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	open    atomic.Bool // workers are started without a network namespace
	mu      sync.Mutex
	idle    []*process // the one that rendered last is the last
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
	p := &Pool{o: o, slots: make(chan struct{}, o.Size)}
	first, err := p.start()
	if err != nil {
		return nil, err
	}
	p.idle = append(p.idle, first)
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
	w, err := p.take(r.Path)
	if err != nil {
		return render.Result{}, err
	}
	a, err := p.ask(ctx, w, r)
	w.renders++
	if err != nil || w.renders >= maxRenders || w.resident() > p.o.Memory/2 {
		w.end()
		p.replace()
	} else {
		p.release(w)
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

// take gives a worker that has rendered path before, and so knows its chart, or else the one that rendered last: it has the
// most that another chart can use, and those that are not needed stay small.
func (p *Pool) take(path string) (*process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return p.start()
	}
	for i := last; i >= 0; i-- {
		if p.idle[i].paths[path] {
			last = i
			break
		}
	}
	w := p.idle[last]
	p.idle = slices.Delete(p.idle, last, last+1)
	w.paths[path] = true
	return w, nil
}

// release makes a worker available. There are never more than slots.
func (p *Pool) release(w *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, w)
}

// replace starts the worker that the next render takes. A failure is the next render's to tell: it tries again.
func (p *Pool) replace() {
	if w, err := p.start(); err == nil {
		p.release(w)
	}
}

// Memory is what the idle workers hold for themselves, in bytes.
func (p *Pool) Memory() (sum int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		sum += Held(w.cmd.Process.Pid)
	}
	return sum
}

// ask sends one request. After an error the worker is of no use.
func (p *Pool) ask(ctx context.Context, w *process, r render.Request) (answer, error) {
	var a answer
	done := make(chan error, 1)
	go func() {
		err := send(w.requests, r)
		if err == nil {
			err = receiveAnswer(w.answers, &a)
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
	for _, w := range p.idle {
		w.end()
	}
	p.idle = nil
}
