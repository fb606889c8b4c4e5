package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"
)

// The pauses between attempts to reach a Redis that is away.
const (
	firstPause = time.Second
	longPause  = 10 * time.Second
)

// errAway is what callers get meanwhile, without any wait.
var errAway = errors.New("the last attempts to reach Redis failed a moment ago")

// health keeps callers from waiting for a Redis that doesn't answer: after a failure one of them tries again each few seconds,
// and the others go on at once. The first failure and the first answer after it are logged.
type health struct {
	log logrus.FieldLogger
	now func() time.Time

	mu      sync.Mutex
	away    bool
	since   time.Time
	next    time.Time
	pause   time.Duration
	probing bool
}

// enter says whether a question may be put. probe means that it finds out whether Redis is back.
func (h *health) enter() (probe, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.away:
		return false, true
	case h.probing || h.now().Before(h.next):
		return false, false
	}
	h.probing = true
	return true, true
}

// abandon takes a question back that was broken off.
func (h *health) abandon(probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if probe {
		h.probing = false
	}
}

func (h *health) leave(probe bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if probe {
		h.probing = false
	}
	now := h.now()
	switch {
	case answered(err):
		if h.away && probe {
			h.log.Infof("Redis answers again, after %s", now.Sub(h.since).Round(time.Second))
			h.away = false
		}
	case !h.away:
		h.away, h.since, h.pause = true, now, firstPause
		h.next = now.Add(h.pause)
		h.log.WithError(explain(err)).Warn("Redis can't be used: this process goes on with its own memory, and tries again every few seconds")
	case probe:
		h.pause = min(2*h.pause, longPause)
		h.next = now.Add(h.pause)
	}
}

// answered says whether Redis itself spoke, and is able to serve.
func answered(err error) bool {
	var reply goredis.Error
	switch {
	case err == nil, errors.Is(err, goredis.Nil), errors.Is(err, errForeign):
		return true
	case errors.As(err, &reply):
		return codeOf(reply) == ""
	}
	return false
}

// The words of Redis for "not now" and "not you", and ours.
var refusals = []struct{ code, meaning string }{
	{"NOAUTH", "it asks for a password: set REDIS_PASSWORD, which Argo CD keeps in the Secret argocd-redis under auth"},
	{"WRONGPASS", "it refuses user or password: check REDIS_USERNAME and REDIS_PASSWORD"},
	{"NOPERM", "its access list refuses this user a command or a key"},
	{"LOADING", "it is starting"},
	{"READONLY", "it is a replica: its master is changing"},
	{"MASTERDOWN", "it has no master"},
	{"NOREPLICAS", "too few of its replicas are there"},
	{"OOM", "it is full: raise its maxmemory"},
	{"BUSY", "a script keeps it busy"},
	{"MISCONF", "it can't save to its disk"},
	{"CLUSTERDOWN", "it is a cluster, which Argo CD doesn't use"},
	{"MOVED", "it is a cluster, which Argo CD doesn't use"},
	{"ERR max number of clients", "it has as many clients as it takes"},
	{"ERR DB index is out of range", "it has no such database: check --redisdb"},
	{"ERR invalid DB index", "it has no such database: check --redisdb"},
	{"ERR invalid password", "it refuses the password: check REDIS_PASSWORD"},
}

// codeOf gives the meaning of an answer that is a refusal, or nothing.
func codeOf(reply goredis.Error) string {
	for _, r := range refusals {
		if strings.HasPrefix(reply.Error(), r.code) {
			return r.meaning
		}
	}
	return ""
}

// explain says what is wrong without repeating what a server wrote.
func explain(err error) error {
	var (
		reply       goredis.Error
		network     *net.OpError
		name        *net.DNSError
		unknown     x509.UnknownAuthorityError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		timeout     net.Error
	)
	switch {
	case err == nil, errors.Is(err, errAway), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &reply):
		if meaning := codeOf(reply); meaning != "" {
			return errors.New(meaning)
		}
		return errors.New("it answers with an error")
	case errors.As(err, &unknown), errors.As(err, &certificate):
		return errors.New("its certificate can't be verified: check --redis-ca-certificate")
	case errors.As(err, &record):
		return errors.New("it doesn't speak TLS: check --redis-use-tls")
	case errors.As(err, &name):
		return errors.New("its name " + name.Name + " can't be resolved")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("it doesn't answer in time")
	case errors.As(err, &network):
		return errors.New(network.Error()) // addresses, and the system's word
	case strings.Contains(err.Error(), "sentinel"):
		return errors.New("no sentinel names a master: check --sentinel and --sentinelmaster")
	}
	return errors.New("the connection broke")
}
