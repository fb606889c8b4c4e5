package reconcile

import (
	"fmt"
	"sync"

	"github.com/tagpin/tagpin/image"
)

// claims are what each application wants to be written where. Applications that want the same scalar to be different are all
// held: otherwise their commits would alternate for ever.
type claims struct {
	mu    sync.Mutex
	wants map[claimKey]map[identity]string
	keys  map[identity][]claimKey
}

type claimKey struct{ repo, branch, target string }

func newClaims() *claims {
	return &claims{wants: map[claimKey]map[identity]string{}, keys: map[identity][]claimKey{}}
}

// make notes what an application wants, in the place of what it wanted before.
func (c *claims) make(p image.Place, ch *check) {
	id := identify(ch.update.App)
	c.forget(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, target := range ch.recorded.Targets {
		key := claimKey{p.RepoURL, p.Write, target}
		if c.wants[key] == nil {
			c.wants[key] = map[identity]string{}
		}
		choice := ch.update.Choices[i]
		c.wants[key][id] = choice.Tag + "@" + choice.Digest
		c.keys[id] = append(c.keys[id], key)
	}
}

// clash names another application that wants another tag at the same place.
func (c *claims) clash(p image.Place, ch *check) (identity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, target := range ch.recorded.Targets {
		choice := ch.update.Choices[i]
		for other, wants := range c.wants[claimKey{p.RepoURL, p.Write, target}] {
			if wants != choice.Tag+"@"+choice.Digest {
				return other, fmt.Errorf("the applications %s and %s write the same place (%s) with different tags, so neither is written: "+
					"give them the same policy, or targets of their own", ch.update.App.Name, other.name, target)
			}
		}
	}
	return identity{}, nil
}

// foreign says that another application, which this process doesn't know to want the same, wrote the pin that is at an image's
// place: the application of another Argo CD instance, say. What tells it is the history that was read, if it was.
func (c *claims) foreign(p image.Place, ch *check, i int, h *image.History) string {
	pin, choice := ch.recorded.Pins[i], ch.update.Choices[i]
	if h == nil || h.Others[i] == nil || pin == nil || h.Others[i].Tag != pin.Tag || pin.Tag == choice.Tag {
		return ""
	}
	other := h.Others[i]
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, wants := range c.wants[claimKey{p.RepoURL, p.Write, ch.recorded.Targets[i]}] {
		if id.name == other.App && wants == choice.Tag+"@"+choice.Digest {
			return ""
		}
	}
	return fmt.Sprintf("the applications %s and %s write the same place (%s) with different tags: %[2]s wrote %s, and it stays. Give them the "+
		"same policy, or targets of their own; where %[2]s is gone, commit a tag there yourself", ch.update.App.Name, other.App, ch.recorded.Targets[i], other.Tag)
}

func (c *claims) forget(id identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.keys[id] {
		delete(c.wants[key], id)
		if len(c.wants[key]) == 0 {
			delete(c.wants, key)
		}
	}
	delete(c.keys, id)
}
