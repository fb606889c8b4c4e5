package metrics

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/registry"
)

// maxBlocked bounds the blocked applications that have a time series of their own; tagpin_applications counts all.
const maxBlocked = 10_000

// An emitter is given each value.
type emitter func(prometheus.Metric)

// ReadLoad exports how many renders work, and how many wait for a slot.
func (m *Metrics) ReadLoad(load func() (working, waiting int)) {
	renders := m.reading(Gauge, "renders", "Renders now, those that work and those that wait for a slot.", "state")
	m.source([]reading{renders}, func(emit emitter) {
		working, waiting := load()
		emit(renders.is(float64(working), "working"))
		emit(renders.is(float64(waiting), "waiting"))
	})
}

// Registries are what is asked for tags.
type Registries interface {
	Caches() map[string]registry.Counted
	ConfProblem() error
}

// ReadRegistries exports what their caches did, and whether registries.conf is in order.
func (m *Metrics) ReadRegistries(r Registries) {
	hits := m.reading(Counter, "cache_hits_total", "Answers from a cache, by its level.", "cache", "level")
	misses := m.reading(Counter, "cache_misses_total", "Questions that no level of a cache could answer.", "cache")
	stale := m.reading(Counter, "cache_stale_total", "Answers by a value past its time, because the registry could not be asked.", "cache")
	loads := m.reading(Counter, "cache_loads_total", "Questions to a registry on behalf of a cache, by how they ended.", "cache", "outcome")
	entries := m.reading(Gauge, "cache_entries", "Entries of a cache in memory.", "cache")
	broken := m.reading(Gauge, "registries_conf_broken", "1 while the present registries.conf can't be used and the last good one is.")
	m.source([]reading{hits, misses, stale, loads, entries, broken}, func(emit emitter) {
		all := r.Caches()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			s := all[name].Stats()
			emit(hits.is(float64(s.Hits), name, "memory"))
			emit(hits.is(float64(s.Shared), name, "redis"))
			emit(misses.is(float64(s.Misses-min(s.Misses, s.Shared)), name))
			emit(stale.is(float64(s.Stale), name))
			emit(loads.is(float64(s.Loads-s.Errors), name, "ok"))
			emit(loads.is(float64(s.Errors), name, "error"))
			emit(entries.is(float64(all[name].Len()), name))
		}
		emit(broken.is(truth(r.ConfProblem() != nil)))
	})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A Loop is an update loop.
type Loop interface {
	Status() []reconcile.Status
	Backlog() reconcile.Backlog
}

// ReadLoop exports where applications stand, and what the loop has still to do.
func (m *Metrics) ReadLoop(l Loop) {
	s := standing{
		applications: m.reading(Gauge, "applications", "Applications by their state.", "state"),
		blocked:      m.reading(Gauge, "application_blocked", "1 for each application for which no newer tag is pinned, whatever appears.", "app", "reason"),
		held:         m.reading(Gauge, "held_pins", "Images whose pin is held, by a person or by hold: true."),
	}
	queues := m.reading(Gauge, "update_queue", "What waits for the update loop: observations to be stored, applications due for a check.", "queue")
	oldest := m.reading(Gauge, "oldest_check_age_seconds", "Age of the check of the application that was checked longest ago; 0 when there is none.")
	m.source([]reading{s.applications, s.blocked, s.held, queues, oldest}, func(emit emitter) {
		s.emit(l.Status(), emit)
		b := l.Backlog()
		emit(queues.is(float64(b.Observations), "observations"))
		emit(queues.is(float64(b.Due), "due"))
		age := 0.0
		if !b.Oldest.IsZero() {
			age = max(0, time.Since(b.Oldest).Seconds())
		}
		emit(oldest.is(age))
	})
}

// standing is where applications stand.
type standing struct{ applications, blocked, held reading }

func (s standing) emit(all []reconcile.Status, emit emitter) {
	states := map[image.State]int{}
	type series struct{ app, reason string }
	blocked := map[series]bool{} // an application's name may come from several sources
	held := 0
	for _, status := range all {
		states[status.State]++
		if status.State.Stops() && len(blocked) < maxBlocked {
			blocked[series{status.App.Name, string(status.State)}] = true
		}
		for _, img := range status.Images {
			held += int(truth(img.State == image.Held))
		}
	}
	for _, state := range image.States() {
		emit(s.applications.is(float64(states[state]), string(state)))
	}
	for b := range blocked {
		emit(s.blocked.is(1, b.app, b.reason))
	}
	emit(s.held.is(float64(held)))
}
