package writeback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/git"
)

// How long a server that refuses is left alone: twice as long each time, up to lastPause, and up to a quarter more so that
// several updaters don't come in step. A wrong password that is sent each minute locks accounts, and a protected branch
// stays protected.
const (
	firstPause = time.Minute
	lastPause  = time.Hour
)

// maxPauses bounds the memory of refusals; a forgotten one is tried again.
const maxPauses = 20_000

// pauseKey is what a server refused: a credential (branch is empty), or a push to a branch with it. Other contents of the
// Secret are another credential.
type pauseKey struct {
	repo, branch string
	credentials  string
}

// A pause ends when it is over, or when what was refused changed.
type pause struct {
	basis  [sha256.Size]byte
	until  time.Time
	length time.Duration
	reason string
}

// told is what people read of a pause.
func (k pauseKey) told(p pause) string {
	ends := "the credentials change"
	if k.branch != "" {
		ends = "the branch, the choice or the credentials change"
	}
	return fmt.Sprintf("%s; the next try comes at %s, or when %s", p.reason, p.until.UTC().Format("15:04:05 MST"), ends)
}

// paused says why nothing is to be asked now; empty when it is time to ask.
func (w *Writer) paused(key pauseKey, basis [sha256.Size]byte) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, known := w.pauses[key]
	switch {
	case !known:
		return ""
	case p.basis != basis:
		delete(w.pauses, key)
		return ""
	case !w.o.Now().Before(p.until):
		return ""
	}
	return key.told(p)
}

// refused begins a pause, and returns what is told of it.
func (w *Writer) refused(key pauseKey, basis [sha256.Size]byte, reason string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.o.Now()
	length := firstPause
	if p, known := w.pauses[key]; known && p.basis == basis && now.Sub(p.until) < 2*lastPause {
		length = min(2*p.length, lastPause)
	}
	if len(w.pauses) >= maxPauses {
		clear(w.pauses)
	}
	jitter := rand.N(length / 4) //nolint:gosec // spreads load; nobody gains by guessing it
	p := pause{basis: basis, until: now.Add(length + jitter), length: length, reason: reason}
	w.pauses[key] = p
	return key.told(p)
}

// accepted ends the pauses after a push.
func (w *Writer) accepted(key pauseKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pauses, key)
	key.branch = ""
	delete(w.pauses, key)
}

// A remote is the repository of a place, with what its refusals are remembered by.
type remote struct {
	*git.Repository
	key pauseKey
}

// branch is what the refusals of pushes to it are remembered by.
func (r remote) branch(name string) pauseKey {
	key := r.key
	key.branch = name
	return key
}

// on opens the repository of a place for work, unless the server refused this very credential a moment ago.
func (w *Writer) on(p image.Place, work func(remote) error) error {
	repo, err := w.open(p)
	if err != nil {
		return err
	}
	if told := w.paused(repo.key, [sha256.Size]byte{}); told != "" {
		return errors.New(told)
	}
	if err = work(repo); git.KindOf(err) == git.Authentication {
		return errors.New(w.refused(repo.key, [sha256.Size]byte{}, err.Error()))
	}
	return err
}

// judge remembers how a push ended.
func (w *Writer) judge(key pauseKey, basis [sha256.Size]byte, pushed git.PushResult) git.PushResult {
	switch pushed.Status {
	case git.Refused:
		pushed.Reason = w.refused(key, basis, pushed.Reason)
	case git.Updated:
		w.accepted(key)
	}
	return pushed
}

// basisOf is what a push depends on: where the branch is, and what is chosen.
func basisOf(tip string, commits []image.Commit) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintln(h, tip)
	for _, c := range commits {
		for _, change := range c.Changes {
			fmt.Fprintf(h, "%q %d %q %q\n", c.Update.App.Name, change.Index, change.To.Tag, change.To.Digest)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// fingerprint tells credentials apart and gives nothing of them away: its key is this process's.
func (w *Writer) fingerprint(c git.Credentials) string {
	mac := hmac.New(sha256.New, w.key[:])
	fmt.Fprintf(mac, "%q %q %q", c.Username, c.Password, c.SSHPrivateKey)
	if c.GitHubApp != nil {
		fmt.Fprintf(mac, " %d %d %q %q", c.GitHubApp.ID, c.GitHubApp.InstallationID, c.GitHubApp.BaseURL, c.GitHubApp.PrivateKey)
	}
	return hex.EncodeToString(mac.Sum(nil))
}
