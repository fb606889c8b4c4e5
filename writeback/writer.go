// Package writeback is the Git edge: it says where pins of an application may go (Writer.Place), what a branch says of them
// (Writer.Read, Writer.LastWritten) and commits new ones (Writer.Write). Package edit changes the bytes of a file, package git
// moves commits; here they are put together for applications.
package writeback

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/writeback/git"
)

// Options make a Writer.
type Options struct {
	// CacheDir keeps what was fetched; it may be deleted at any time.
	CacheDir string
	Settings config.Settings
	Secrets  config.Secrets
	// KnownHosts is a known_hosts file: Argo CD's argocd-ssh-known-hosts-cm.
	KnownHosts string
	// CADir has a file with the CA of each server that needs one: Argo CD's argocd-tls-certs-cm. May be empty.
	CADir string
	// Author of the commits; the committer is the same.
	Author git.Person
	// Template of the commit messages; nil means git.DefaultMessage.
	Template *git.Template
	SignOff  bool
	Sign     *git.Signer
	Git      git.Options
	// Same says which images are one repository; nil compares names.
	Same func(a, b image.Image) bool
	Now  func() time.Time
}

// A Writer writes pins. It is safe for concurrent use.
type Writer struct {
	key   [32]byte // of fingerprints
	loans loans
	o     Options
	mu    sync.Mutex
	tips  map[image.Place]knownTip // where branches were when they were last seen
	// histories are what was found out about who wrote which pin.
	histories map[historyKey]history
	pauses    map[pauseKey]pause
}

// The author of the commits where the operator names none. No mail ever arrives at a domain below .local.
const (
	DefaultUser  = "tagpin"
	DefaultEmail = "noreply@tagpin.local"
)

// New checks the options.
func New(o Options) (*Writer, error) {
	if o.Author == (git.Person{}) {
		o.Author = defaultAuthor()
	}
	if o.Template == nil {
		t, err := git.ParseMessage(git.DefaultMessage)
		if err != nil {
			return nil, fmt.Errorf("the default commit message: %w", err)
		}
		o.Template = t
	}
	if o.Git.Tokens == nil {
		o.Git.Tokens = &git.Tokens{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Writer{o: o, tips: map[image.Place]knownTip{}, histories: map[historyKey]history{}, pauses: map[pauseKey]pause{}}
	if _, err := rand.Read(w.key[:]); err != nil {
		return nil, err
	}
	return w, nil
}

func defaultAuthor() git.Person { return git.Person{Name: DefaultUser, Email: DefaultEmail} }

// A knownTip is where a branch was when it was last seen. told means that the remote said so a moment ago, in answer to a push
// that came too late.
type knownTip struct {
	git.Tip
	told bool
}

// remembered gives where a branch was. told is true once: then it needn't be asked for.
func (w *Writer) remembered(p image.Place) (tip git.Tip, known, told bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, known := w.tips[p]
	if known {
		w.tips[p] = knownTip{Tip: t.Tip}
	}
	return t.Tip, known, t.told
}

// remember keeps where a branch is; an empty commit forgets it.
func (w *Writer) remember(p image.Place, t git.Tip, told bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.SHA == "" {
		delete(w.tips, p)
		return
	}
	w.tips[p] = knownTip{t, told}
}
