// Package redis is what tagpin shares with its other replicas through Argo CD's Redis. Call Open once, then make of the Client
// what is wanted: a second level of caches (Client.Level), records that every replica follows (Client.Records), the division
// of work among updaters (Client.Peers), distances between pushes (Client.Pauses), and notices to all (Client.Notify).
//
// Nothing here is ever needed to be right. Whoever gets no answer goes on alone: an outage is logged once, costs at most one
// short wait each few seconds, and ends without a restart. What comes out of Redis is outside input. It is versioned, bound to
// its key, bounded before and after decompression and, with a key, authenticated; whatever doesn't fit counts as absent.
package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"
)

// DefaultServer is where Argo CD looks for its Redis.
const DefaultServer = "argocd-redis:6379"

// DefaultSentinelMaster is Argo CD's.
const DefaultSentinelMaster = "master"

// DefaultPrefix begins the keys.
const DefaultPrefix = "tagpin"

// format is the version of everything that is written. Another one is another set of keys, so that old and new replicas don't
// disturb each other during an upgrade.
const format = "1"

// MinKey is the shortest key that authenticates values, in bytes.
const MinKey = 32

const (
	// patience bounds a question on which a registry's answer waits. A Redis in the same cluster takes a millisecond.
	patience = 500 * time.Millisecond
	// bulkPatience bounds one that carries many records, which nothing waits for.
	bulkPatience = 5 * time.Second
	dialTimeout  = 2 * time.Second
	// DefaultRetries is Argo CD's. They are for connections that broke while idle; the patience above bounds them all.
	DefaultRetries = 3
)

// Options are how Redis is reached. They are Argo CD's own.
type Options struct {
	// Server is host and port. With Sentinels it is not used.
	Server string
	// Sentinels are asked for the present master of SentinelMaster.
	Sentinels      []string
	SentinelMaster string

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	DB                                 int
	Retries                            int
	TLS                                *tls.Config // nil: none

	// Prefix begins all keys: installations that share a Redis need different ones.
	Prefix string
	// Keys authenticate values. The first one signs, all are accepted. None: values are not authenticated.
	Keys [][]byte

	Log logrus.FieldLogger
	// Now replaces time.Now in tests.
	Now func() time.Time
}

// A Client is safe for concurrent use.
type Client struct {
	o      Options
	rdb    *goredis.Client
	health *health
	sealer sealer
}

// silence keeps go-redis, whose logger is one for the process, from writing to standard error, past every log level. Once: its
// connections read the logger at any time.
var silence = sync.OnceFunc(func() { goredis.SetLogger(silent{}) })

// Open asks nothing yet: a Redis that isn't there is found out at the first question, and waited for.
func Open(o Options) (*Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = logrus.StandardLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	silence()
	c := &Client{o: o, health: &health{log: o.Log, now: o.Now}, sealer: sealer{keys: o.Keys, odd: &odd{log: o.Log}}}
	if len(o.Sentinels) > 0 {
		c.rdb = goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: o.SentinelMaster, SentinelAddrs: o.Sentinels,
			Username: o.Username, Password: o.Password, SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
			DB: o.DB, MaxRetries: retries(o.Retries), TLSConfig: o.TLS, DialTimeout: dialTimeout, ContextTimeoutEnabled: true, DisableIdentity: true,
		})
		return c, nil
	}
	c.rdb = goredis.NewClient(&goredis.Options{
		Addr: o.Server, Username: o.Username, Password: o.Password, DB: o.DB,
		MaxRetries: retries(o.Retries), TLSConfig: o.TLS, DialTimeout: dialTimeout, ContextTimeoutEnabled: true, DisableIdentity: true,
	})
	return c, nil
}

// retries writes none as the library does.
func retries(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func (o Options) check() error {
	for _, address := range append([]string{o.Server}, o.Sentinels...) {
		if address == "" && len(o.Sentinels) > 0 {
			continue
		}
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			return fmt.Errorf("the Redis address %q must be host:port, such as %s", address, DefaultServer)
		}
	}
	switch {
	case o.Prefix == "" || strings.ContainsAny(o.Prefix, "|*?[] \t\r\n"):
		return fmt.Errorf("the prefix %q must not be empty, nor hold |, blanks or the signs of a pattern", o.Prefix)
	case o.DB < 0 || o.Retries < 0:
		return errors.New("the database and the number of retries can't be negative")
	}
	for _, key := range o.Keys {
		if len(key) < MinKey {
			return fmt.Errorf("a key that authenticates values has at least %d characters: make one with openssl rand -hex 32", MinKey)
		}
	}
	return nil
}

// Close ends all connections.
func (c *Client) Close() error { return c.rdb.Close() }

// Ping says whether Redis answers now, and in our own words why it doesn't.
func (c *Client) Ping(ctx context.Context) error {
	return explain(c.do(ctx, bulkPatience, func(ctx context.Context) error { return c.rdb.Ping(ctx).Err() }))
}

// Secret derives a key that all replicas share, and nobody knows who knows neither the key nor the password of Redis. It is nil
// when there is neither.
func (c *Client) Secret(purpose string) []byte {
	master := []byte(c.o.Password)
	if len(c.o.Keys) > 0 {
		master = c.o.Keys[0]
	}
	if len(master) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, master)
	mac.Write([]byte("tagpin " + purpose))
	return mac.Sum(nil)
}

// key joins the parts of a key's name.
func (c *Client) key(parts ...string) string {
	return c.o.Prefix + "|" + format + "|" + strings.Join(parts, "|")
}

// hashed is the name of something whose own name tells too much, or is too long.
func (c *Client) hashed(name string) string {
	mac := hmac.New(sha256.New, c.Secret("names"))
	mac.Write([]byte(name))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// do asks Redis, unless it is known to be away.
func (c *Client) do(ctx context.Context, wait time.Duration, ask func(context.Context) error) error {
	probe, ok := c.health.enter()
	if !ok {
		return errAway
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := ask(bounded)
	if ctx.Err() != nil { // the caller's end says nothing about Redis
		c.health.abandon(probe)
		return context.Cause(ctx)
	}
	c.health.leave(probe, err)
	return err
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
