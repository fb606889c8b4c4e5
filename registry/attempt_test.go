package registry_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

// Every request is told, on whose behalf it was and how it ended; and nothing of a credential is in it.
func TestAttemptsAreTold(t *testing.T) {
	var mu sync.Mutex
	var told []registry.Attempt
	s := start(t, acr.Options{RedirectBlobs: true}, func(o *registry.Options) {
		o.Told = func(a registry.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, a)
		}
	})
	s.Push("team/app", "v1", acr.Image{})
	s.tags("team/app")
	if _, err := s.repo("team/app").Describe(t.Context(), "v1", nil); err != nil {
		t.Fatal(err)
	}
	s.Fail(acr.List, acr.Fault{Status: 404, Code: "NAME_UNKNOWN"})
	_, _ = s.repo("team/none").Tags(t.Context())
	s.Heal()

	host := strings.TrimPrefix(s.URL(), "http://")
	kinds := map[registry.Kind]int{}
	statuses := map[int]int{}
	for _, a := range told {
		if a.Registry != host || !a.Named || !a.Sent {
			t.Errorf("%+v is not an attempt at %s that was sent", a, host)
		}
		kinds[a.Kind]++
		statuses[a.Status]++
	}
	// A ping and a token for each repository; the blob's second request goes to the bucket.
	if kinds[registry.KindTags] != 2 || kinds[registry.KindManifest] != 1 || kinds[registry.KindBlob] != 1 || kinds[registry.KindPing] == 0 || kinds[registry.KindOther] < 2 {
		t.Errorf("kinds %v", kinds)
	}
	if statuses[200] < 3 || statuses[401] == 0 || statuses[404] != 1 || statuses[307] != 1 {
		t.Errorf("statuses %v", statuses)
	}
	if statuses[0] != 0 {
		t.Errorf("%d attempts without an answer: go-containerregistry's https to this http registry leaves no process", statuses[0])
	}
}
