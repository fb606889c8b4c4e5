package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// prefix begins every name but those of the process and of Go's runtime, which are the same for all Go programs.
const prefix = "tagpin_"

// A Kind is Prometheus's word for how a metric behaves.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// A Metric is one that is exported.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string
}

// A catalog makes metrics and knows which there are: the documentation and the alert rules are held to it.
type catalog struct {
	gatherer *prometheus.Registry
	metrics  []Metric
}

// Catalog lists all metrics whose names begin with tagpin_, by name.
func (c *catalog) Catalog() []Metric {
	return slices.SortedFunc(slices.Values(c.metrics), func(a, b Metric) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (c *catalog) note(kind Kind, name, help string, labels []string) string {
	c.metrics = append(c.metrics, Metric{prefix + name, kind, labels, help})
	return prefix + name
}

func (c *catalog) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: c.note(Counter, name, help, labels), Help: help}, labels)
	c.gatherer.MustRegister(v)
	return v
}

func (c *catalog) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: c.note(Histogram, name, help, labels), Help: help, Buckets: buckets}, labels)
	c.gatherer.MustRegister(v)
	return v
}

// A reading is a metric that is read when Prometheus asks.
type reading struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func (c *catalog) reading(kind Kind, name, help string, labels ...string) reading {
	types := map[Kind]prometheus.ValueType{Counter: prometheus.CounterValue, Gauge: prometheus.GaugeValue}
	return reading{prometheus.NewDesc(c.note(kind, name, help, labels), help, labels, nil), types[kind]}
}

func (r reading) is(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(r.desc, r.kind, value, labels...)
}

// A source gives readings.
type source struct {
	readings []reading
	read     func(emitter)
}

// Describe implements prometheus.Collector.
func (s *source) Describe(descs chan<- *prometheus.Desc) {
	for _, r := range s.readings {
		descs <- r.desc
	}
}

// Collect implements prometheus.Collector.
func (s *source) Collect(metrics chan<- prometheus.Metric) {
	s.read(func(m prometheus.Metric) { metrics <- m })
}
