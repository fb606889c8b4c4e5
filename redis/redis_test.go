package redis

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/test/redisserver"
)

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func open(t *testing.T, s *redisserver.Server, change func(*Options)) (*Client, *logBuffer) {
	t.Helper()
	out := &logBuffer{}
	log := logrus.New()
	log.SetOutput(out)
	o := Options{Server: s.Addr(), Password: redisserver.Password, Prefix: DefaultPrefix, Retries: DefaultRetries, Log: log}
	if change != nil {
		change(&o)
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		if strings.Contains(out.String(), "Canary") {
			t.Errorf("the log gives a password away:\n%s", out)
		}
	})
	return c, out
}

// eventually waits for what other processes bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// want asks until Redis answers: on a busy machine it may be taken for away for a moment.
func (l *Level) want(t *testing.T, key string) (value []byte, age time.Duration, mark string) {
	t.Helper()
	eventually(t, "Redis answers", func() bool {
		var err error
		value, age, mark, err = l.Get(t.Context(), key)
		return err == nil
	})
	return value, age, mark
}

func (l *Level) have(t *testing.T, key, value string) {
	t.Helper()
	eventually(t, "a value is kept", func() bool {
		_, _, mark := l.want(t, key)
		l.Put(t.Context(), key, mark, []byte(value), 0)
		got, _, _ := l.want(t, key)
		return string(got) == value
	})
}

func TestLevel(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	other, _ := open(t, s, nil)
	level, theirs := c.Level("tags", time.Hour), other.Level("tags", time.Hour)
	if value, _, _ := level.want(t, "k"); value != nil {
		t.Errorf("%q is there from the beginning", value)
	}
	level.have(t, "k", "v1.0 "+strings.Repeat("v2.0 ", 1000))
	value, age, mark := theirs.want(t, "k")
	if !strings.HasPrefix(string(value), "v1.0 v2.0") || age < 0 || age > time.Minute {
		t.Errorf("another replica sees %.20q of age %v", value, age)
	}
	if value, _, _ := other.Level("digests", time.Hour).want(t, "k"); value != nil {
		t.Error("two kinds share a key")
	}
	// A load that began before a mark comes too late.
	eventually(t, "the mark counts", func() bool {
		level.Mark(t.Context(), "k")
		value, _, now := theirs.want(t, "k")
		return value == nil && now != mark
	})
	theirs.Put(t.Context(), "k", mark, []byte("old"), 0)
	if value, _, _ := level.want(t, "k"); value != nil {
		t.Errorf("a load from before the mark left %q", value)
	}
	level.have(t, "k", "new")
	for _, key := range s.Keys("*") {
		if !strings.HasPrefix(key, "tagpin|1|tags|") {
			t.Errorf("the key %q", key)
		}
	}
}

// The age of a value is that of its load, whatever the clocks of the replicas say.
func TestAge(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	behind, _ := open(t, s, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(-time.Hour) } })
	ahead, _ := open(t, s, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	level := ahead.Level("tags", time.Hour)
	eventually(t, "a value is kept", func() bool {
		_, _, mark := level.want(t, "k")
		level.Put(t.Context(), "k", mark, []byte("v"), 10*time.Minute)
		value, _, _ := level.want(t, "k")
		return value != nil
	})
	if _, age, _ := behind.Level("tags", time.Hour).want(t, "k"); age < 10*time.Minute || age > 30*time.Minute {
		t.Errorf("a replica whose clock is behind takes the age for %v, want about 10m", age)
	}
	// Who prolongs the life of a key makes the value no younger.
	s.Do("PEXPIRE", s.Keys("*")[0], int64(40*24*time.Hour/time.Millisecond))
	now, _ := open(t, s, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(5 * time.Hour) } })
	if _, age, _ := now.Level("tags", time.Hour).want(t, "k"); age < 4*time.Hour {
		t.Errorf("a value whose life was prolonged is %v old", age)
	}
}

// What is not ours, or was changed, is a miss.
func TestForeignValues(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	key := []byte(strings.Repeat("k", MinKey))
	signing, _ := open(t, s, func(o *Options) { o.Keys = [][]byte{key} })
	level := signing.Level("tags", time.Hour)
	level.have(t, "a", "value a")
	level.have(t, "b", "value b")
	a, b := level.name("a"), level.name("b")
	genuine, _ := s.Do("GET", a).(string)
	for name, value := range map[string]string{
		"garbage":       "garbage",
		"empty":         "",
		"another key's": func() string { v, _ := s.Do("GET", b).(string); return v }(),
		"changed":       genuine[:len(genuine)-1] + "X",
		"without MAC":   magic + "\x00" + strings.Repeat("x", 40),
		"cut":           genuine[:len(genuine)/2],
		"next version":  "tp\x02" + genuine[len(magic):],
	} {
		s.Do("SET", a, value, "PX", 3_600_000)
		if value, _, _ := level.want(t, "a"); value != nil {
			t.Errorf("%s: a value %q", name, value)
		}
	}
	s.Do("DEL", a)
	s.Do("RPUSH", a, "x")
	if value, _, _ := level.want(t, "a"); value != nil {
		t.Errorf("a list: a value %q", value)
	}
	s.Do("SET", a, genuine) // without an end
	if value, _, _ := level.want(t, "a"); value != nil {
		t.Error("a value that never ends counts")
	}
	s.Do("SET", a, genuine, "PX", 3_600_000)
	if value, _, _ := level.want(t, "a"); string(value) != "value a" {
		t.Errorf("the genuine value is %q", value)
	}
	// A new key: both count while both are in the file, and the old one alone no more.
	next := []byte(strings.Repeat("n", MinKey))
	both, _ := open(t, s, func(o *Options) { o.Keys = [][]byte{next, key} })
	if text, err := both.sealer.open(a, []byte(genuine)); err != nil || !strings.HasSuffix(string(text), "value a") {
		t.Errorf("signed with the previous key: %q, %v", text, err)
	}
	alone, out := open(t, s, func(o *Options) { o.Keys = [][]byte{next} })
	for range 3 {
		if _, err := alone.sealer.open(a, []byte(genuine)); err == nil {
			t.Error("signed with a key that doesn't count any more")
		}
	}
	if n := strings.Count(out.String(), "not signed"); n != 1 {
		t.Errorf("told %d times:\n%s", n, out)
	}
}

// A small value that becomes a large one is refused before it fills the memory.
func TestBomb(t *testing.T) {
	s := sealer{}
	if _, err := s.seal("k", make([]byte, maxValue+1)); err == nil {
		t.Error("too large a value is written")
	}
	stored, err := s.seal("k", make([]byte, maxValue))
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) > maxValue/100 {
		t.Errorf("%d bytes are stored as %d", maxValue, len(stored))
	}
	if value, err := s.open("k", stored); err != nil || len(value) != maxValue {
		t.Errorf("%d bytes, %v", len(value), err)
	}
	bomb := append([]byte(magic), compressed)
	bomb = append(bomb, gzipped(t, maxValue+1)...)
	if value, err := s.open("k", bomb); err == nil {
		t.Errorf("a bomb gives %d bytes", len(value))
	}
}

func gzipped(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// One of two replicas loads, and the other waits; a lease ends by itself.
func TestClaim(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, _ := open(t, s, nil)
	other, _ := open(t, s, nil)
	eventually(t, "a lease excludes the other", func() bool {
		giveBack, ok := c.Level("tags", time.Hour).Claim(t.Context(), "k", time.Minute)
		if !ok {
			t.Fatal("the lease is never given back")
		}
		defer giveBack()
		_, taken := other.Level("tags", time.Hour).Claim(t.Context(), "k", time.Minute)
		return !taken
	})
	eventually(t, "a lease is free again", func() bool {
		_, ok := other.Level("tags", time.Hour).Claim(t.Context(), "k", time.Millisecond)
		return ok
	})
	eventually(t, "a lease ends by itself", func() bool {
		_, ok := c.Level("tags", time.Hour).Claim(t.Context(), "k", time.Minute)
		return ok
	})
}

// Whatever happens to Redis, callers go on; it is told once, and it is used again when it is back.
func TestOutages(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	for name, outage := range map[string]struct{ begin, end func() }{
		"killed": {s.Kill, s.Start},
		"paused": {s.Pause, s.Resume},
	} {
		t.Run(name, func(t *testing.T) {
			c, out := open(t, s, nil)
			level := c.Level("tags", time.Hour)
			level.have(t, "k", "v")
			outage.begin()
			eventually(t, "questions fail", func() bool {
				_, _, _, err := level.Get(t.Context(), "k")
				return err != nil
			})
			for range 100 { // nobody waits for it any more
				_, _, _, err := level.Get(t.Context(), "k")
				if err == nil {
					t.Fatal("an answer")
				}
			}
			if giveBack, ok := level.Claim(t.Context(), "k", time.Minute); !ok {
				t.Error("who can't get a lease waits")
			} else {
				giveBack()
			}
			if wait, _ := c.Pauses("pushes").Take(t.Context(), "main", time.Minute); wait != 0 {
				t.Errorf("a pause of %v", wait)
			}
			if mine := c.Peers("a", time.Hour).Share(t.Context()); !mine("x") || !mine("y") {
				t.Error("an updater that is alone does not do all")
			}
			if n := strings.Count(out.String(), "level=warning"); n != 1 {
				t.Errorf("%d warnings:\n%s", n, out)
			}
			outage.end()
			level.have(t, "k", "v2")
			if !strings.Contains(out.String(), "Redis answers again") {
				t.Errorf("nothing of the recovery:\n%s", out)
			}
		})
	}
}

// What is wrong is said in words that help, without what servers or secrets say.
func TestProblems(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no password":   {func(o *Options) { o.Password = "" }, "REDIS_PASSWORD"},
		"wrong":         {func(o *Options) { o.Password = "wrong-Canary" }, "REDIS_PASSWORD"},
		"wrong user":    {func(o *Options) { o.Username = "nobody" }, "REDIS_USERNAME"},
		"no server":     {func(o *Options) { o.Server = "127.0.0.1:1" }, "connection refused"},
		"no name":       {func(o *Options) { o.Server = "nowhere.invalid:6379" }, "can't be resolved"},
		"no database":   {func(o *Options) { o.DB = 99 }, "--redisdb"},
		"no sentinel":   {func(o *Options) { o.Sentinels, o.SentinelMaster = []string{"127.0.0.1:1"}, "master" }, "--sentinel"},
		"no TLS":        {func(o *Options) { o.TLS = &tls.Config{MinVersion: tls.VersionTLS12} }, "in time"},
		"wrong address": {func(o *Options) { o.Server = "argocd-redis" }, "host:port"},
		"wrong prefix":  {func(o *Options) { o.Prefix = "a|b" }, "prefix"},
		"short key":     {func(o *Options) { o.Keys = [][]byte{[]byte("short")} }, "openssl rand"},
	} {
		t.Run(name, func(t *testing.T) {
			log := logrus.New()
			out := &logBuffer{}
			log.SetOutput(out)
			o := Options{Server: s.Addr(), Password: redisserver.Password, Prefix: DefaultPrefix, Log: log}
			test.change(&o)
			c, err := Open(o)
			if err == nil {
				defer c.Close()
				err = c.Ping(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want …%s…", err, test.want)
			}
			if text := fmt.Sprint(err) + out.String(); strings.Contains(text, "Canary") {
				t.Errorf("a password is told: %s", text)
			}
		})
	}
}

// Who breaks a question off has not found out anything about Redis.
func TestCancelled(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{})
	c, out := open(t, s, nil)
	c.Level("tags", time.Hour).have(t, "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := c.Level("tags", time.Hour).Get(ctx, "k"); err == nil {
		t.Error("an answer after the end")
	}
	if strings.Contains(out.String(), "context canceled") {
		t.Errorf("it is logged:\n%s", out)
	}
}

// A failover costs what was not replicated yet, and nothing else.
func TestSentinel(t *testing.T) {
	g := redisserver.StartGroup(t)
	c, out := open(t, g.Servers[0], func(o *Options) {
		o.Server, o.Sentinels, o.SentinelMaster, o.SentinelPassword = "", []string{g.Sentinel.Addr()}, redisserver.MasterName, redisserver.Password
	})
	level := c.Level("tags", time.Hour)
	level.have(t, "k", "v")
	g.Servers[0].Kill()
	eventually(t, "the failover is noticed", func() bool {
		_, _, _, err := level.Get(t.Context(), "k")
		return err != nil
	})
	level.have(t, "k", "v2")
	if n := strings.Count(out.String(), "level=warning"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, out)
	}
	if value := g.Servers[1].Do("GETRANGE", level.name("k"), 0, -1); !strings.HasSuffix(fmt.Sprint(value), "v2") {
		t.Errorf("the new master has %q", value)
	}
}

func TestTLS(t *testing.T) {
	certificate := redisserver.NewCertificate(t)
	s := redisserver.Start(t, redisserver.Options{TLS: &certificate})
	files := TLS{CA: certificate.Cert, Cert: certificate.Cert, Key: certificate.Key}
	for name, test := range map[string]struct {
		files TLS
		want  string // in the error; empty: none
	}{
		"all":                   {files, ""},
		"unknown authority":     {TLS{Cert: files.Cert, Key: files.Key}, "--redis-ca-certificate"},
		"unverified":            {TLS{Insecure: true, Cert: files.Cert, Key: files.Key}, ""},
		"no client certificate": {TLS{CA: files.CA}, "e"}, // it breaks the connection off,
	} {
		t.Run(name, func(t *testing.T) {
			config, err := test.files.Config()
			if err != nil {
				t.Fatal(err)
			}
			c, _ := open(t, s, func(o *Options) { o.TLS = config })
			switch err := c.Ping(t.Context()); {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want …%s…", err, test.want)
			}
		})
	}
	for name, broken := range map[string]TLS{"CA": {CA: "nowhere.pem"}, "no CA": {CA: certificate.Key}, "key": {Cert: certificate.Cert, Key: "nowhere.pem"}} {
		if _, err := broken.Config(); err == nil || !strings.Contains(err.Error(), "--redis-c") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
