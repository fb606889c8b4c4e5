package metrics

import (
	"sync"

	"github.com/tagpin/tagpin/registry"
)

// maxHosts bounds the registries that the operator didn't name and that still have a label of their own.
const maxHosts = 50

// others stands for all registries beyond.
const others = "other"

// hosts decides which registries get a label: those of the operator all do. Of those that applications name there could be any
// number.
type hosts struct {
	mu    sync.Mutex
	known map[string]bool
}

func (h *hosts) label(a registry.Attempt) string {
	if a.Named {
		return a.Registry
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known[a.Registry] && len(h.known) >= maxHosts {
		return others
	}
	h.known[a.Registry] = true
	return a.Registry
}
