package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tagpin/tagpin/cache"
	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/registry/aliyun"
)

const (
	// renewEarly is how long before its end a temporary credential is replaced; a quarter of its life if that is less.
	renewEarly = 5 * time.Minute
	// lastUse is how long before its end one is given up that could not be replaced.
	lastUse = 30 * time.Second
	// renewTimeout bounds getting one: whoever waits meanwhile waits no longer.
	renewTimeout = 20 * time.Second
	// youngest is the age below which a refused credential is not replaced: a missing right is answered like a wrong login.
	youngest = time.Minute
	apiSlots = 8
	maxToken = 64 << 10
	maxKept  = 1024
	// longest is how long one is kept, whatever it says of itself.
	longest = 12 * time.Hour
)

// instances get temporary logins of the Enterprise instances that the operator listed. They use the identity that is listed
// and no other: not the node's role, no file in a home directory, no variable that isn't named here.
type instances struct {
	settings config.ACR
	secrets  config.Secrets
	env      func(string) string
	api      *aliyun.Client
	now      func() time.Time

	mu     sync.Mutex
	logins map[string]*renewed[*login]      // by instance, endpoint and identity
	keys   map[string]*renewed[aliyun.Keys] // by STS endpoint
}

func newInstances(o Options, wrap func(http.RoundTripper) http.RoundTripper) (*instances, error) {
	g := guard{acr: true, named: func(host, _ string, addr netip.Addr) bool {
		return o.Settings.MayDial(host, addr) || slices.ContainsFunc(o.Settings.ACR.Instances, func(i config.ACRInstance) bool {
			return string(i.Endpoint) == host
		})
	}}
	strict, err := connections(Endpoint{}, g, false)
	if err != nil {
		return nil, err
	}
	// Of no host: all of them need https, and the client keeps to its own rate.
	rt := &bounded{
		next:  wrap(&schemes{api: &url.URL{Scheme: "https"}, own: strict, others: strict}),
		named: true, quota: &quota{slots: make(chan struct{}, apiSlots)}, told: o.Told,
	}
	return &instances{
		settings: o.Settings.ACR, secrets: o.Secrets, env: o.Env, now: o.Now,
		api:    aliyun.New(aliyun.Options{Transport: rt, Now: o.Now}),
		logins: map[string]*renewed[*login]{}, keys: map[string]*renewed[aliyun.Keys]{},
	}, nil
}

// An instancePlace is a listed instance as it is reached for one registry host.
type instancePlace struct {
	config.ACRInstance
	vpc bool
}

// find returns the listed instance of an endpoint: by registries.conf, or by the API host's own name. It must be the host
// that requests go to, since that host gets the login.
func (i *instances) find(e *Endpoint) *instancePlace {
	h, known := e.acrHost()
	if e.ACR != nil {
		if listed, ok := i.settings.Instance(e.ACR.ID); ok {
			return &instancePlace{listed, known && h.vpc}
		}
		return nil
	}
	if !known || h.edition != enterprise {
		return nil
	}
	if listed, ok := i.settings.Named(h.instance, h.region); ok {
		return &instancePlace{listed, h.vpc}
	}
	return nil
}

// host is the API's endpoint.
func (p instancePlace) host() string {
	if p.Endpoint != "" {
		return string(p.Endpoint)
	}
	return p.service("cr")
}

func (p instancePlace) service(name string) string {
	if p.vpc || strings.HasPrefix(string(p.Endpoint), "cr-vpc.") {
		name += "-vpc"
	}
	return name + "." + string(p.Region) + ".aliyuncs.com"
}

func (p instancePlace) api() aliyun.Instance {
	return aliyun.Instance{Host: p.host(), ID: string(p.ID)}
}

// login is a temporary one for this instance, kept until shortly before its end.
func (i *instances) login(ctx context.Context, p *instancePlace) (*login, error) {
	who, err := i.identity(p)
	if err != nil {
		return nil, apiFailure(err)
	}
	l, err := kept(&i.mu, i.logins, cache.Key(string(p.ID), p.host(), who)).get(ctx, i.now, func(ctx context.Context) (*login, time.Time, error) {
		var got aliyun.Login
		err := i.asking(ctx, p, func(keys aliyun.Keys) (err error) {
			got, err = i.api.Login(ctx, p.api(), keys)
			return err
		})
		if err != nil {
			return nil, time.Time{}, err
		}
		return &login{
			user: got.User, password: got.Password, who: who,
			label: fmt.Sprintf("the temporary login of instance %s (%s)", p.ID, p.Auth),
		}, got.Expires, nil
	})
	return l, apiFailure(err)
}

// forget drops a refused login, unless it was got a moment ago.
func (i *instances) forget(p *instancePlace, l *login) {
	if who, err := i.identity(p); err == nil {
		kept(&i.mu, i.logins, cache.Key(string(p.ID), p.host(), who)).drop(i.now(), func(v *login) bool { return v == l })
	}
}

// asking puts a question with the instance's keys, and once more with new ones where those had expired.
func (i *instances) asking(ctx context.Context, p *instancePlace, question func(aliyun.Keys) error) error {
	keys, err := i.keysOf(ctx, p)
	if err != nil {
		return err
	}
	err = question(keys)
	var answer *aliyun.Error
	if !errors.As(err, &answer) || !answer.Expired || !p.Auth.RRSA {
		return err
	}
	kept(&i.mu, i.keys, p.service("sts")).drop(i.now(), func(k aliyun.Keys) bool { return k == keys })
	if keys, err = i.keysOf(ctx, p); err != nil {
		return err
	}
	return question(keys)
}

// identity names who asks, without secrets: equal for equal rights, whatever is renewed.
func (i *instances) identity(p *instancePlace) (string, error) {
	if p.Auth.RRSA {
		return cache.Key(string(p.ID), "rrsa", i.env(envRole), i.env(envProvider)), nil
	}
	if token, err := i.field(p, "security-token"); err == nil && token != "" {
		return cache.Key(string(p.ID), "sts", p.Auth.String()), nil // its key is another one each time
	}
	id, err := i.field(p, "access-key-id")
	return cache.Key(string(p.ID), "key", id), err
}

// The variables that ack-pod-identity-webhook sets.
const (
	envRole     = "ALIBABA_CLOUD_ROLE_ARN"
	envProvider = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
	envToken    = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
)

func (i *instances) keysOf(ctx context.Context, p *instancePlace) (aliyun.Keys, error) {
	if p.Auth.RRSA {
		k := kept(&i.mu, i.keys, p.service("sts"))
		return k.get(ctx, i.now, func(ctx context.Context) (aliyun.Keys, time.Time, error) { return i.assume(ctx, p) })
	}
	var (
		keys aliyun.Keys
		err  error
	)
	for _, f := range []struct {
		name string
		to   *string
	}{{"access-key-id", &keys.ID}, {"access-key-secret", &keys.Secret}, {"security-token", &keys.Token}} {
		*f.to, err = i.field(p, f.name)
		if err != nil && (f.name != "security-token" || !errors.Is(err, fs.ErrNotExist)) {
			return aliyun.Keys{}, err
		}
	}
	return keys, nil
}

func (i *instances) field(p *instancePlace, name string) (string, error) {
	text, err := i.secrets.Read(p.Auth.Secret.Namespace, p.Auth.Secret.Name, name)
	text = strings.TrimSpace(text)
	if err == nil && (text == "" && name != "security-token" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })) {
		err = fmt.Errorf("%s: its field %s must hold one word", p.Auth, name)
	}
	if err != nil {
		return "", &setupError{err}
	}
	return text, nil
}

// assume trades the service account's token for keys. The token is read each time: the kubelet renews it.
func (i *instances) assume(ctx context.Context, p *instancePlace) (aliyun.Keys, time.Time, error) {
	for _, name := range []string{envRole, envProvider, envToken} {
		if i.env(name) == "" {
			return aliyun.Keys{}, time.Time{}, &setupError{fmt.Errorf("instance %s: auth is rrsa, and %s is not set: give tagpin's service "+
				"account a role (annotation pod-identity.alibabacloud.com/role-name), or name a Secret with an AccessKey", p.ID, name)}
		}
	}
	token, err := readSmall(i.env(envToken), maxToken)
	if err != nil {
		return aliyun.Keys{}, time.Time{}, &setupError{
			fmt.Errorf("instance %s: the file of %s can't be read: check that the projected token is mounted", p.ID, envToken),
		}
	}
	keys, err := i.api.AssumeRole(ctx, aliyun.Role{
		Host: p.service("sts"), ARN: i.env(envRole), ProviderARN: i.env(envProvider), Token: strings.TrimSpace(string(token)),
	})
	return keys, keys.Expires, err
}

func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, limit)
}

// renewed keeps a value that ends, and replaces it before that.
type renewed[T any] struct {
	mu          sync.Mutex // held while one is got, so that it is got once
	have        bool
	value       T
	from, until time.Time
	failed      error // the last attempt's, remembered briefly for those who waited for it
	failedAt    time.Time
}

func kept[T any](mu *sync.Mutex, in map[string]*renewed[T], key string) *renewed[T] {
	mu.Lock()
	defer mu.Unlock()
	if in[key] == nil {
		if len(in) >= maxKept {
			clear(in)
		}
		in[key] = &renewed[T]{}
	}
	return in[key]
}

// A loader gets a value and says when it ends.
type loader[T any] func(context.Context) (T, time.Time, error)

// get returns the kept value, or a new one when it is near its end. When no new one can be had, the old one serves on. Getting
// one belongs to no caller: others wait for it, too, and a caller whose ctx ends leaves.
func (r *renewed[T]) get(ctx context.Context, now func() time.Time, load loader[T]) (T, error) {
	var (
		done = make(chan struct{})
		v    T
		err  error
	)
	go func() {
		defer close(done)
		v, err = r.renew(context.WithoutCancel(ctx), now, load)
	}()
	select {
	case <-done:
		return v, err
	case <-ctx.Done():
		return *new(T), context.Cause(ctx)
	}
}

func (r *renewed[T]) renew(ctx context.Context, now func() time.Time, load loader[T]) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have && now().Before(r.until.Add(-min(renewEarly, r.until.Sub(r.from)/4))) {
		return r.value, nil
	}
	if r.failed != nil && now().Sub(r.failedAt) < cache.DefaultErrorTTL {
		return r.last(now(), r.failed)
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	v, until, err := load(ctx)
	if r.failed, r.failedAt = err, now(); err != nil {
		return r.last(now(), err)
	}
	r.have, r.value, r.from, r.until = true, v, now(), until
	if end := r.from.Add(longest); until.After(end) {
		r.until = end
	}
	return v, nil
}

// last is the old value, if it still serves, or the error.
func (r *renewed[T]) last(now time.Time, err error) (T, error) {
	if r.have && now.Before(r.until.Add(-lastUse)) && mayPass(err) {
		return r.value, nil
	}
	r.have = false
	return *new(T), err
}

// drop forgets a value that was refused.
func (r *renewed[T]) drop(now time.Time, refused func(T) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have && refused(r.value) && now.Sub(r.from) >= youngest {
		r.have = false
	}
}

// mayPass says whether the reason is nobody's refusal.
func mayPass(err error) bool {
	var (
		answer  *aliyun.Error
		missing *setupError
	)
	return !errors.As(err, &missing) && (!errors.As(err, &answer) || answer.Retryable)
}
