package reconcile

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
)

// report keeps where an application stands, and logs it when that changed; false where another check knows better.
func (l *Loop) report(c *check) bool {
	id := identify(c.update.App)
	l.mu.Lock()
	if l.overtaken(c) {
		l.mu.Unlock()
		return false
	}
	before := l.status[id]
	now := before
	if now.State == image.Updated { // that was the check before
		now.State = image.UpToDate
	}
	if !c.unchanged {
		now = c.status()
		now.Commit = or(c.commit, before.Commit)
	}
	now.Checked = l.o.Now()
	l.status[id] = now
	l.settle(id, c)
	l.mu.Unlock()
	if now.State == before.State && now.Reason == before.Reason {
		return true
	}
	log := l.o.Log.WithFields(logrus.Fields{"application": c.update.App.Name, "state": now.State})
	switch {
	case now.State == image.UpToDate || now.State == image.Updated:
		log.Info("the pins are those of the newest allowed tags")
	case now.State == image.Waiting || now.Elsewhere && l.o.Peers != nil || now.State == image.Proposed:
		log.Info(now.Reason)
	default:
		log.Warn(now.Reason)
	}
	return true
}

// settle keeps what a complete check rests on, so that with the same again Git needn't be asked.
func (l *Loop) settle(id identity, c *check) {
	switch {
	case c.unchanged:
	case c.err == nil && !c.unverified, c.state == image.NotFollowed:
		b := basis{settings: settings(c.hint), revision: c.hint.App.Revision, commit: c.commit, choices: said(c.update),
			at: l.o.Now(), recheck: c.state == image.NotFollowed || c.hint.App.Revision == ""}
		if c.place.Proposes() {
			b.commit = "" // once it is merged, the branch has another pin than this check saw
		}
		if c.tip == b.revision && c.commit == "" && !c.place.Proposes() {
			b.files = c.hint.Files
		}
		l.settled[id] = b
	default:
		delete(l.settled, id)
	}
}

// unsettle has the next check look at an application again, whose own choice didn't change.
func (l *Loop) unsettle(id identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.settled, id)
}

func (c *check) status() Status {
	s := Status{App: c.update.App, State: c.state}
	if c.err != nil {
		s.Reason, s.Elsewhere = c.err.Error(), errors.Is(c.err, image.ErrElsewhere)
	}
	for i := range c.update.Options.Images {
		s.Images = append(s.Images, c.imageStatus(i))
		if i < len(c.verdicts) {
			s.take(c.verdicts[i])
		}
	}
	if s.State == "" {
		s.State = image.UpToDate
	}
	if s.Reason == "" && c.recorded.Risk != "" {
		s.Reason = c.recorded.Risk
	}
	return s
}

// imageStatus is as complete as the check came.
func (c *check) imageStatus(i int) ImageStatus {
	e := c.update.Options.Images[i]
	s := ImageStatus{Alias: e.Alias, Image: e.Image.Name()}
	if i < len(c.update.Choices) {
		s.Choice = c.update.Choices[i].Tag
	}
	if i < len(c.recorded.Pins) && c.recorded.Pins[i] != nil {
		s.Pinned = c.recorded.Pins[i].Tag
	}
	if i < len(c.verdicts) {
		s.State, s.Reason = c.verdicts[i].state, c.verdicts[i].reason
		if change := c.verdicts[i].change; change != nil && c.err == nil && c.verdicts[i].state == image.Updated {
			s.Pinned = change.To.Tag
		}
	}
	return s
}

// take makes the worst verdict of the images the application's.
func (s *Status) take(v verdict) {
	switch {
	case s.State == image.Held, v.state == image.UpToDate && s.State != "":
	case s.State == "" || s.State == image.UpToDate || v.state == image.Held:
		s.State = v.state
		if s.Reason == "" {
			s.Reason = v.reason
		}
	}
}

// known are the applications that have a status.
func (l *Loop) known() []identity {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.status))
}

// dropUnobserved forgets those known before that are observed no more.
func (l *Loop) dropUnobserved(before []identity, checks []*check) {
	seen := map[identity]bool{}
	for _, c := range checks {
		seen[identify(c.update.App)] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range before {
		if seen[id] {
			continue
		}
		delete(l.status, id)
		delete(l.settled, id)
		delete(l.orders, id)
		l.claims.forget(id)
		l.index.note(id, nil)
		l.agenda.forget(id)
	}
	oldest := l.o.Now().Add(-l.o.Distance)
	maps.DeleteFunc(l.pushed, func(_ branchKey, at time.Time) bool { return at.Before(oldest) })
}
