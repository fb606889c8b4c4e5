package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
)

const (
	// Canaries: no log and no answer may hold them.
	secretA = "hook-Canary-a-0123456789abcdef0123456789"
	secretB = "hook-Canary-b-0123456789abcdef0123456789"
	retired = "hook-Canary-c-0123456789abcdef0123456789"
)

const acrPush = `{"push_data":{"tag":"payload-Canary-tag","digest":"sha256:payload-Canary-digest"},` +
	`"repository":{"repo_full_name":"team/app","region":"cn-hangzhou"}}`

// registries take -vpc for the same registry.
type registries struct {
	mu     sync.Mutex
	marked []string
	woken  int
}

func (r *registries) Identity(img image.Image) string {
	return strings.Replace(img.Registry, "-vpc", "", 1) + "/" + img.Repository
}

func (r *registries) MarkStale(img image.Image) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marked = append(r.marked, img.Registry+"/"+img.Repository)
	return true
}

func (r *registries) Pushed(image.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken++
}

func (r *registries) seen() (string, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.marked, " "), r.woken
}

type fixture struct {
	*Handler
	*registries
	keys [][]string
	log  *bytes.Buffer
}

// newFixture has secretA for team/ in cn-hangzhou, and secretB for all of harbor.example.com:8443, docker.io and cn-shanghai.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{registries: &registries{}, keys: [][]string{{secretA}, {secretB}}, log: &bytes.Buffer{}}
	log := logrus.New()
	log.SetOutput(f.log)
	log.SetLevel(logrus.TraceLevel)
	key := func(i int, prefixes ...image.Image) Key {
		return Key{Name: "secret:argocd/hook#x", Read: func() ([]string, error) { return f.keys[i], nil }, Prefixes: prefixes}
	}
	handler, err := New(Options{
		Keys: []Key{
			key(0, image.Image{Registry: "registry-vpc.cn-hangzhou.aliyuncs.com", Repository: "team"}),
			key(1, image.Image{Registry: "harbor.example.com:8443"}, image.Image{Registry: "docker.io"},
				image.Image{Registry: "registry.cn-shanghai.aliyuncs.com"}, image.Image{Registry: "registry.cn-beijing.aliyuncs.com"},
				image.Image{Registry: "registry.cn-hangzhou.aliyuncs.com", Repository: "namespace"},
				image.Image{Registry: "crpi-x.cn-hangzhou.personal.cr.aliyuncs.com"}),
		},
		Registries: f.registries, Loop: f.registries, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = handler
	t.Cleanup(func() {
		if strings.Contains(f.log.String(), "Canary") {
			t.Errorf("the log gives a secret or a payload away:\n%s", f.log)
		}
	})
	return f
}

func (f *fixture) post(t *testing.T, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "Canary") {
		t.Errorf("the answer repeats what was sent: %s", w.Body)
	}
	return w
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestWhoMayAnnounceWhat(t *testing.T) {
	const acr = "/webhook/acr?secret="
	const vpc = "&registry=registry-vpc.cn-hangzhou.aliyuncs.com"
	other := strings.Replace(acrPush, "team/app", "teams/app", 1)
	for name, test := range map[string]struct {
		target, body string
		headers      []string
		status       int
		marked       string
	}{
		"query":                       {acr + secretA, acrPush, nil, 200, "registry.cn-hangzhou.aliyuncs.com/team/app"},
		"another name of the host":    {acr + secretA + vpc, acrPush, nil, 200, "registry-vpc.cn-hangzhou.aliyuncs.com/team/app"},
		"header":                      {"/webhook/acr", acrPush, []string{"Authorization", secretA}, 200, "registry.cn-hangzhou.aliyuncs.com/team/app"},
		"bearer":                      {"/webhook/acr", acrPush, []string{"Authorization", "Bearer " + secretA}, 200, "registry.cn-hangzhou.aliyuncs.com/team/app"},
		"signature":                   {"/webhook/acr", acrPush, []string{signatureHeader, sign(secretA, acrPush)}, 200, "registry.cn-hangzhou.aliyuncs.com/team/app"},
		"signature of another body":   {"/webhook/acr", acrPush, []string{signatureHeader, sign(secretA, other)}, 401, ""},
		"signature by somebody":       {acr + secretA, acrPush, []string{signatureHeader, sign("hook-Canary-x", acrPush)}, 401, ""},
		"no signature":                {"/webhook/acr", acrPush, []string{signatureHeader, "sha256="}, 401, ""},
		"missing":                     {"/webhook/acr", acrPush, nil, 401, ""},
		"empty":                       {acr, acrPush, []string{"Authorization", "Bearer "}, 401, ""},
		"wrong":                       {acr + retired, acrPush, nil, 401, ""},
		"beginning of it":             {acr + secretA[:20], acrPush, nil, 401, ""},
		"another one's repository":    {acr + secretB, acrPush, nil, 403, ""},
		"a name that begins like it":  {acr + secretA, other, nil, 403, ""},
		"another one's registry":      {acr + secretA + "&registry=harbor.example.com:8443", acrPush, nil, 403, ""},
		"look-alike":                  {acr + secretA + "&registry=registry.cn-hangzhou.aliyuncs.com.evil.example", acrPush, nil, 403, ""},
		"a host that is none":         {acr + secretA + "&registry=user-Canary%40host%2Fpath", acrPush, nil, 400, ""},
		"too large":                   {acr + secretA, acrPush + strings.Repeat(" ", maxBody), nil, 413, ""},
		"too large and not known":     {acr + retired, acrPush + strings.Repeat(" ", maxBody), nil, 401, ""},
		"no kind":                     {"/webhook/quay?secret=" + secretA, acrPush, nil, 404, ""},
		"the root":                    {"/?secret=" + secretA, acrPush, nil, 404, ""},
		"another kind's payload":      {"/webhook/harbor?secret=" + secretA, acrPush, nil, 400, ""},
		"a path in place of a region": {acr + secretA, strings.Replace(acrPush, "cn-hangzhou", "evil-Canary.example/x?", 1), nil, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if w := f.post(t, test.target, test.body, test.headers...); w.Code != test.status {
				t.Errorf("HTTP %d %s, want %d", w.Code, w.Body, test.status)
			}
			marked, woken := f.seen()
			if marked != test.marked || woken != min(len(marked), 1) {
				t.Errorf("marked %q and woke %d times, want %q", marked, woken, test.marked)
			}
		})
	}
}

func TestOnlyPOST(t *testing.T) {
	f := newFixture(t)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/webhook/acr?secret="+secretA, nil))
	if marked, _ := f.seen(); w.Code != http.StatusMethodNotAllowed || marked != "" {
		t.Errorf("HTTP %d, marked %q", w.Code, marked)
	}
}

// Every payload of the data file, with and without a registry in the URL.
func TestPayloads(t *testing.T) {
	data, err := os.ReadFile("../test/testdata/acr/hooks.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Kind, Body, Image, ImageWithRegistry string }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		for registry, want := range map[string]string{"": p.Image, "crpi-x.cn-hangzhou.personal.cr.aliyuncs.com": p.ImageWithRegistry} {
			t.Run(p.Name+" "+registry, func(t *testing.T) {
				f := newFixture(t)
				w := f.post(t, "/webhook/"+p.Kind+"?"+url.Values{"secret": {secretB}, "registry": {registry}}.Encode(), p.Body)
				if marked, _ := f.seen(); marked != want {
					t.Errorf("HTTP %d %s: marked %q, want %q", w.Code, w.Body, marked, want)
				}
				if accepted := w.Code == http.StatusOK; accepted != (want != "") {
					t.Errorf("HTTP %d", w.Code)
				}
			})
		}
	}
}

// While a secret is replaced both count; then only the new one does. A secret that has become too short counts no more.
func TestRotation(t *testing.T) {
	f := newFixture(t)
	for _, step := range []struct {
		secrets  []string
		accepted string
	}{
		{[]string{secretA, retired}, secretA + retired}, {[]string{retired}, retired}, {[]string{"short"}, ""}, {nil, ""}, {[]string{""}, ""},
	} {
		f.keys[0] = step.secrets
		for _, s := range []string{secretA, retired, "short", ""} {
			w := f.post(t, "/webhook/acr?secret="+s, acrPush)
			if accepted := w.Code == http.StatusOK; accepted != (s != "" && strings.Contains(step.accepted, s)) {
				t.Errorf("HTTP %d for one of %d secrets", w.Code, len(step.secrets))
			}
		}
	}
	if !strings.Contains(f.log.String(), "a secret has at least 32 characters") {
		t.Errorf("nobody is told:\n%s", f.log)
	}
}

func TestKeysAtStart(t *testing.T) {
	for name, read := range map[string]func() ([]string, error){
		"at least 32 characters": func() ([]string, error) { return []string{"hook-Canary"}, nil },
		"cannot be opened":       func() ([]string, error) { return nil, &refusal{text: "cannot be opened"} },
	} {
		_, err := New(Options{Keys: []Key{{Name: "secret:argocd/hook#x", Read: read}}})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%v, want …%s…", err, name)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("hooks without a secret are taken")
	}
}

// However many hooks come for a repository, it is looked at once in 5 s, and once after the last of them.
func TestQuietTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		hooks := func(n int, target, body string) {
			for range n {
				if w := f.post(t, target, body); w.Code != http.StatusOK {
					t.Errorf("HTTP %d", w.Code)
				}
			}
		}
		wants := func(when string, want int) {
			synctest.Wait()
			if _, woken := f.seen(); woken != want {
				t.Errorf("%s: woken %d times, want %d", when, woken, want)
			}
		}
		hooks(3, "/webhook/acr?secret="+secretA, acrPush)
		hooks(3, "/webhook/acr?secret="+secretA+"&registry=registry-vpc.cn-hangzhou.aliyuncs.com", acrPush)
		wants("at once", 1)
		hooks(1, "/webhook/acr?secret="+secretA, strings.Replace(acrPush, "team/app", "team/other", 1))
		wants("another repository", 2)
		time.Sleep(quiet - time.Nanosecond)
		wants("still quiet", 2)
		time.Sleep(time.Nanosecond)
		wants("the last push counts", 3)
		time.Sleep(time.Minute)
		wants("nothing more came", 3)
		hooks(1, "/webhook/acr?secret="+secretA, acrPush)
		wants("a new push", 4)
		time.Sleep(time.Minute) // timers end
	})
}

// A flood is refused before a body is read or a secret is compared, and harms nobody else.
func TestFlood(t *testing.T) {
	f := newFixture(t)
	f.o.Now = func() time.Time { return time.Unix(1_800_000_000, 0) }
	read := 0
	f.o.Keys[0].Read = func() ([]string, error) { read++; return []string{secretA}, nil }
	from := func(remote string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/acr?secret=x", strings.NewReader(acrPush))
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Code
	}
	for range burst {
		if code := from("[2001:db8::1]:1"); code != http.StatusUnauthorized {
			t.Fatalf("HTTP %d", code)
		}
	}
	before := read
	for _, remote := range []string{"[2001:db8::1]:2", "[2001:db8::ffff:1]:1"} {
		if code := from(remote); code != http.StatusTooManyRequests {
			t.Errorf("%s: HTTP %d", remote, code)
		}
	}
	if read != before {
		t.Error("a secret was read for a flood")
	}
	for _, remote := range []string{"192.0.2.1:1", "[2001:db8:0:1::1]:1"} {
		if code := from(remote); code != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", remote, code)
		}
	}
}

// The number of addresses that are told apart is bounded; who is quiet is forgotten first.
func TestManyAddresses(t *testing.T) {
	l := newLimits()
	now := time.Unix(1_800_000_000, 0)
	address := func(i int) string {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1).String()
	}
	for i := range maxAddresses + 500 {
		l.allow(address(i), now)
	}
	if len(l.by) != maxAddresses {
		t.Errorf("%d addresses", len(l.by))
	}
	if l.allow("192.0.2.1:1", now) {
		t.Error("those that are too many share one limit, which is used up")
	}
	if !l.allow("192.0.2.1:1", now.Add(time.Hour)) || len(l.by) != 1 {
		t.Errorf("%d addresses after an hour", len(l.by))
	}
}

func FuzzPayloads(f *testing.F) {
	data, err := os.ReadFile("../test/testdata/acr/hooks.json")
	if err != nil {
		f.Fatal(err)
	}
	var all []struct{ Kind, Body string }
	if err := json.Unmarshal(data, &all); err != nil {
		f.Fatal(err)
	}
	for _, p := range all {
		f.Add([]byte(p.Body), "")
		f.Add([]byte(p.Body), "registry.example.com:5000")
	}
	f.Fuzz(func(t *testing.T, body []byte, registry string) {
		for kind, parse := range parsers() {
			img, err := parse(body, registry)
			if err != nil {
				if img != (image.Image{}) {
					t.Errorf("%s: an image beside %v", kind, err)
				}
				continue
			}
			if !hostRE.MatchString(img.Registry) || !pathRE.MatchString(img.Repository) || img.Tag != "" || img.Digest != "" {
				t.Errorf("%s: %+v", kind, img)
			}
			if registry != "" && img.Registry != strings.ToLower(registry) {
				t.Errorf("%s: registry %q became %q", kind, registry, img.Registry)
			}
		}
	})
}
