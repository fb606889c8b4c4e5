// Package metrics counts what tagpin does, for Prometheus. Make Metrics with New, put its observers and decorators where the
// parts are wired together, and serve its Handler on a port of its own:
//
//	m := metrics.New(version)
//	registries, err := registry.New(registry.Options{…, Told: m.Attempt})
//	loop := reconcile.New(reconcile.Options{…, Resolver: m.Resolver(resolver), Writer: m.Writer(writer), Told: m.Round})
//	m.ReadLoop(loop)
//	err = metrics.Serve(ctx, listener, m.Handler(ready))
//
// The parts know nothing of it. The record that they make for the log is told here as well; what they hold (queues, caches,
// where applications stand) is read when Prometheus asks.
//
// No label holds what somebody outside chooses, but for the names of blocked applications and of registries. There are at most
// maxBlocked of the first and maxHosts of the second.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/registry"
)

// Metrics is safe for concurrent use.
type Metrics struct {
	catalog
	renders    renderMetrics
	registries registryMetrics
	updates    updateMetrics
}

// New makes Metrics, with those of the process and of Go's runtime among them. version is tagpin's.
func New(version string) *Metrics {
	m := &Metrics{catalog: catalog{gatherer: prometheus.NewRegistry()}}
	m.gatherer.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := m.reading(Gauge, "build_info", "Always 1; the version is a label.", "version")
	m.source([]reading{build}, func(emit emitter) { emit(build.is(1, version)) })
	m.renders = newRenderMetrics(&m.catalog)
	m.registries = newRegistryMetrics(&m.catalog)
	m.updates = newUpdateMetrics(&m.catalog)
	return m
}

// source registers readings.
func (c *catalog) source(readings []reading, read func(emitter)) {
	c.gatherer.MustRegister(&source{readings, read})
}

type renderMetrics struct {
	total           *prometheus.CounterVec
	bytes           *prometheus.CounterVec
	seconds, phases *prometheus.HistogramVec
}

func newRenderMetrics(c *catalog) renderMetrics {
	slow := []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 45}
	return renderMetrics{
		total:   c.counter("renders_total", "Calls of argocd-repo-server that were answered, by what was asked and how it ended.", "job", "outcome"),
		bytes:   c.counter("received_bytes_total", "Bytes of the archives that argocd-repo-server sent.", "job"),
		seconds: c.histogram("render_seconds", "Time from the first message of a call to its answer.", slow, "job"),
		phases: c.histogram("render_phase_seconds", "Time of each phase of a render.",
			append([]float64{.001, .005, .02}, slow...), "phase"),
	}
}

// A Render is a call of argocd-repo-server that was answered.
type Render struct {
	// Job is "manifests" or "parameters".
	Job    string
	Bytes  int64
	Failed bool
	// Late says that the deadline had passed.
	Late bool
	// Queued is the wait for a slot, Staged the time in which the archive was received and unpacked, Took that of the whole call.
	Queued, Staged, Took time.Duration
}

// Render counts a call.
func (m *Metrics) Render(r Render) {
	outcome := "ok"
	if r.Failed {
		outcome = "error"
	}
	if r.Late {
		outcome = "late"
	}
	m.renders.total.WithLabelValues(r.Job, outcome).Inc()
	m.renders.bytes.WithLabelValues(r.Job).Add(float64(r.Bytes))
	m.renders.seconds.WithLabelValues(r.Job).Observe(r.Took.Seconds())
	m.renders.phases.WithLabelValues("queue").Observe(r.Queued.Seconds())
	m.renders.phases.WithLabelValues("receive").Observe(r.Staged.Seconds())
}

// A Phase is one of a render's that happens inside of it.
type Phase string

// The phases that Timed is for; "queue" and "receive" are Render's.
const (
	ReadPins Phase = "pins"
	Resolve  Phase = "resolve"
	Template Phase = "render"
)

// Timed measures a phase until the function that it returns is called.
func (m *Metrics) Timed(p Phase) (done func()) {
	begin := time.Now()
	return func() { m.renders.phases.WithLabelValues(string(p)).Observe(time.Since(begin).Seconds()) }
}

type registryMetrics struct {
	hosts                     *hosts
	requests, delayed, delays *prometheus.CounterVec
	seconds                   *prometheus.HistogramVec
}

func newRegistryMetrics(c *catalog) registryMetrics {
	return registryMetrics{
		hosts: &hosts{known: map[string]bool{}},
		requests: c.counter("registry_requests_total", "Requests to registries, their token servers and blob stores; each retry counts.",
			"host", "kind", "outcome"),
		delayed: c.counter("registry_delayed_total", "Requests that a registry's limit held back.", "host"),
		delays:  c.counter("registry_delay_seconds_total", "Time for which a registry's limit held requests back.", "host"),
		seconds: c.histogram("registry_request_seconds", "Time that registries took to answer.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "host"),
	}
}

// noticeable is from when on a request counts as held back.
const noticeable = time.Millisecond

// Attempt counts a request to a registry.
func (m *Metrics) Attempt(a registry.Attempt) {
	r := m.registries
	host := r.hosts.label(a)
	r.requests.WithLabelValues(host, string(a.Kind), outcomeOf(a)).Inc()
	if a.Waited >= noticeable {
		r.delayed.WithLabelValues(host).Inc()
		r.delays.WithLabelValues(host).Add(a.Waited.Seconds())
	}
	if a.Sent {
		r.seconds.WithLabelValues(host).Observe(a.Took.Seconds())
	}
}

// outcomeOf is a word for how a request ended. "unauthorized" is also how each registry begins that wants a token.
func outcomeOf(a registry.Attempt) string {
	switch status := a.Status; {
	case !a.Sent:
		return "no-turn"
	case status == 0:
		return "no-answer"
	case status < 400:
		return "ok"
	case status == 401:
		return "unauthorized"
	case status == 403:
		return "denied"
	case status == 404:
		return "absent"
	case status == 429:
		return "throttled"
	case status < 500:
		return "refused"
	}
	return "broken"
}

type updateMetrics struct {
	checks, choices, pins, pushes *prometheus.CounterVec
	checkSeconds, choiceSeconds   *prometheus.HistogramVec
}

func newUpdateMetrics(c *catalog) updateMetrics {
	return updateMetrics{
		checks:       c.counter("checks_total", "Checks by the update loop: of all applications, or of some to which something happened.", "scope"),
		checkSeconds: c.histogram("check_seconds", "Time of each check.", []float64{.01, .1, .5, 1, 5, 10, 30, 60, 120, 300}, "scope"),
		choices:      c.counter("choices_total", "Times that a tag was chosen for an image, from the cache or not, and how it ended.", "strategy", "outcome"),
		choiceSeconds: c.histogram("choice_seconds", "Time of each choice.", []float64{.0001, .001, .01, .1, .5, 1, 5, 10, 30},
			"strategy"),
		pins:   c.counter("pins_total", "Pins that were written, to the branch or as a proposal.", "strategy", "way"),
		pushes: c.counter("pushes_total", "Git pushes by how they ended; overtaken ones are tried again.", "outcome"),
	}
}

// Round counts a check.
func (m *Metrics) Round(r reconcile.Round) {
	scope := "some"
	if r.All {
		scope = "all"
	}
	m.updates.checks.WithLabelValues(scope).Inc()
	m.updates.checkSeconds.WithLabelValues(scope).Observe(r.Took.Seconds())
}
