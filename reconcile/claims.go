package reconcile

import (
	"fmt"

	"github.com/tagpin/tagpin/image"
)

// claims are what each application wants to be written where. Applications that want the same scalar to be different are all
// held: otherwise their commits would alternate for ever.
type claims map[claimKey]map[identity]string

type claimKey struct{ repo, branch, target string }

// make notes what an application wants. Its earlier claims on other targets go with forget.
func (c claims) make(p image.Place, ch *check) {
	c.forget(identify(ch.update.App))
	for i, target := range ch.recorded.Targets {
		key := claimKey{p.RepoURL, p.Write, target}
		if c[key] == nil {
			c[key] = map[identity]string{}
		}
		choice := ch.update.Choices[i]
		c[key][identify(ch.update.App)] = choice.Tag + "@" + choice.Digest
	}
}

// clash names another application that wants another tag at the same place.
func (c claims) clash(p image.Place, ch *check) error {
	for i, target := range ch.recorded.Targets {
		choice := ch.update.Choices[i]
		for other, wants := range c[claimKey{p.RepoURL, p.Write, target}] {
			if wants != choice.Tag+"@"+choice.Digest {
				return fmt.Errorf("the applications %s and %s write the same place (%s) with different tags, so neither is written: "+
					"give them the same policy, or targets of their own", ch.update.App.Name, other.name, target)
			}
		}
	}
	return nil
}

// foreign says that another application, which this process doesn't know to want the same, wrote the pin that is at an image's
// place: the application of another Argo CD instance, say. What tells it is the history that was read, if it was.
func (c claims) foreign(p image.Place, ch *check, i int, h *image.History) string {
	pin, choice := ch.recorded.Pins[i], ch.update.Choices[i]
	if h == nil || h.Others[i] == nil || pin == nil || h.Others[i].Tag != pin.Tag || pin.Tag == choice.Tag {
		return ""
	}
	other := h.Others[i]
	for id, wants := range c[claimKey{p.RepoURL, p.Write, ch.recorded.Targets[i]}] {
		if id.name == other.App && wants == choice.Tag+"@"+choice.Digest {
			return ""
		}
	}
	return fmt.Sprintf("the applications %s and %s write the same place (%s) with different tags: %[2]s wrote %s, and it stays. Give them the "+
		"same policy, or targets of their own; where %[2]s is gone, commit a tag there yourself", ch.update.App.Name, other.App, ch.recorded.Targets[i], other.Tag)
}

func (c claims) forget(id identity) {
	for key, wanting := range c {
		delete(wanting, id)
		if len(wanting) == 0 {
			delete(c, key)
		}
	}
}
