package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/redis"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/webhook"
)

// What replicas tell each other at once.
const (
	noticeSeen = "seen" // an application was rendered for the first time, or at another commit
	noticePush = "push" // an image was pushed
)

// applicationRecords is what the observed applications are called in Redis.
const applicationRecords = "applications"

const (
	// tellEvery keeps the renders that follow one push from being told one by one.
	tellEvery = time.Second
	// hearEvery is the least time between two notices of one push that count: whoever writes to Redis could send many.
	hearEvery = time.Second
	maxHeard  = 10_000
	// manifestsKept is how long Argo CD keeps manifests: within this time it renders every application once.
	manifestsKept = 24 * time.Hour
	// peerIdle is more than a check of all applications takes, its wait for the next one included.
	peerIdle = time.Hour
)

// expiryFlag is how long applications are followed.
type expiryFlag time.Duration

func (e *expiryFlag) register(flags *pflag.FlagSet) {
	flags.DurationVar((*time.Duration)(e), "application-expiry", reconcile.DefaultExpiry,
		"how long an application is followed after its last render; more than the 24h for which Argo CD keeps manifests")
}

func (e expiryFlag) check() error {
	if time.Duration(e) <= manifestsKept {
		return errors.New("--application-expiry must be more than 24h: so long Argo CD doesn't render an application of which nothing changes")
	}
	return nil
}

// sharedCaches is none without a Redis, and without a secret for the names of credentials.
func sharedCaches(client *redis.Client, log *logrus.Logger) registry.Shared {
	if client == nil {
		return registry.Shared{}
	}
	secret := client.Secret("fingerprints")
	if secret == nil {
		log.Info("Redis has no password, and there is no --redis-hmac-key: answers of registries are not shared, since their keys would tell of credentials")
		return registry.Shared{}
	}
	return registry.Shared{Secret: secret, Level: func(kind string, keep time.Duration) cache.Remote { return client.Level(kind, keep) }}
}

// A sharing is what this process has in common with its replicas.
type sharing struct {
	client     *redis.Client
	registries *registry.Registries
	store      *reconcile.Shared
	board      *reconcile.Board
	peers      *redis.Peers
	log        *logrus.Logger
	seen       chan struct{}

	mu    sync.Mutex
	heard map[string]time.Time
}

// share is nil without Redis.
func (e *engine) share(expiry expiryFlag) *sharing {
	if e.redis == nil {
		return nil
	}
	host, _ := os.Hostname() // the pod's name; without one the rest of the name has to do
	s := &sharing{
		client: e.redis, registries: e.registries, log: e.log, peers: e.redis.Peers(host, peerIdle),
		seen: make(chan struct{}, 1), heard: map[string]time.Time{},
	}
	s.store = reconcile.NewShared(e.redis.Records(applicationRecords, time.Duration(expiry), reconcile.MaxRecords), time.Duration(expiry), s.tell)
	s.board = reconcile.NewBoard(e.redis.Records("status", reconcile.BoardExpiry, reconcile.MaxUpdaters), s.peers.Name())
	return s
}

// tell is called when something new was written.
func (s *sharing) tell() {
	select {
	case s.seen <- struct{}{}:
	default:
	}
}

// storeFor is where observed applications are kept.
func (s *sharing) storeFor(expiry expiryFlag) reconcile.Store {
	if s != nil {
		return s.store
	}
	memory := reconcile.NewMemory()
	memory.Expiry = time.Duration(expiry)
	return memory
}

// start tells others, and listens to them if there is a loop, until stop.
func (s *sharing) start(ctx context.Context, loop *reconcile.Loop) (stop func()) {
	if s == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { s.tellAll(ctx) })
	if loop != nil {
		parts.Go(func() { s.client.Listen(ctx, func(n redis.Notice) { s.hear(ctx, loop, n) }) })
		parts.Go(func() { s.peers.Run(ctx) })
		parts.Go(func() { s.board.Run(ctx, loop.Status) })
	}
	return func() {
		cancel()
		parts.Wait()
	}
}

func (s *sharing) tellAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.seen:
			s.client.Notify(ctx, redis.Notice{Kind: noticeSeen})
		}
		select {
		case <-ctx.Done():
		case <-time.After(tellEvery):
		}
	}
}

// hear is a hint and nothing more, as a webhook is.
func (s *sharing) hear(ctx context.Context, loop *reconcile.Loop, n redis.Notice) {
	switch n.Kind {
	case noticeSeen:
		loop.Follow(ctx)
	case noticePush:
		img, err := image.ParseImage(n.Text)
		if err != nil || !s.timely(n.Text) {
			return
		}
		s.registries.MarkStale(img)
		loop.Pushed(img)
	}
}

// timely says whether the last notice of the same is some time ago.
func (s *sharing) timely(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.heard[text]) < hearEvery {
		return false
	}
	if len(s.heard) >= maxHeard {
		clear(s.heard)
	}
	s.heard[text] = time.Now()
	return true
}

// loud is the loop for webhooks.
func (s *sharing) loud(loop *reconcile.Loop) webhook.Loop {
	if s == nil {
		return loop
	}
	return crier{loop, s.client}
}

// A crier tells all replicas of a push: the applications that use the image may be another one's.
type crier struct {
	*reconcile.Loop
	client *redis.Client
}

// Pushed implements webhook.Loop.
func (c crier) Pushed(img image.Image) {
	c.Loop.Pushed(img)
	name := strings.TrimPrefix(img.Registry+"/"+img.Repository, "/")
	go c.client.Notify(context.Background(), redis.Notice{Kind: noticePush, Text: name})
}

// status is where all applications stand, as far as this process can know.
func (s *sharing) status(ctx context.Context, loop *reconcile.Loop) []reconcile.Status {
	var own []reconcile.Status
	if loop != nil {
		own = loop.Status()
	}
	if s == nil {
		return own
	}
	return s.board.Status(ctx, own)
}

// whereKept says what a restart costs.
func (s *sharing) whereKept() string {
	if s == nil {
		return "which applications there are is kept in memory, so after a restart each is updated again when Argo CD next renders it: at a " +
			"commit, a hard refresh, or after 24 h; --redis makes it outlast a restart"
	}
	return fmt.Sprintf("which applications there are is shared in Redis, as %s", s.peers.Name())
}
