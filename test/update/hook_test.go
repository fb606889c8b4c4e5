package update

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/webhook"
)

// hookSecret is a canary.
const hookSecret = "hook-Canary-0123456789abcdef0123456789abcdef"

// announcer runs a loop whose interval never comes again, for pushes of echo to be announced to.
func (w *world) announcer(host string) *updater {
	w.t.Helper()
	if err := os.WriteFile(w.conf, []byte(w.reg.ConfFile("secret:argocd/acr#acr", host)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	u := w.updater(time.Hour)
	w.git.Create("demo", map[string]string{"helm/values.yaml": "a: 1\n"})
	u.Observe(w.hint("demo", "gitops-demo", "helm", "image-list", "echoserver="+host+"/"+echo))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
		if strings.Contains(w.log.String(), "hook-Canary") {
			w.t.Errorf("the log gives the secret away:\n%s", w.log)
		}
	})
	return u
}

// announce sends ACR's payload, which names the public host's region, from a sender who hasn't sent anything yet.
func (w *world) announce(u *updater) {
	w.t.Helper()
	url, stop := w.listen(u)
	defer stop()
	if status, err := w.reg.Announce(url, acr.Arrival{Repository: echo, Tag: "not-used", Digest: "sha256:not-used"}); err != nil || status != http.StatusOK {
		w.t.Fatalf("HTTP %d, %v", status, err)
	}
}

// listen opens the port that the registry's trigger knows.
func (w *world) listen(u *updater) (url string, stop func()) {
	w.t.Helper()
	log := logrus.New()
	log.SetOutput(w.log)
	handler, err := webhook.New(webhook.Options{
		Keys: []webhook.Key{{
			Name: "secret:argocd/hook#secret", Read: func() ([]string, error) { return []string{hookSecret}, nil },
			Prefixes: []image.Image{{Registry: acrHost, Repository: "haoshuwei24"}},
		}},
		Registries: u.registries, Loop: u, Log: log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := webhook.Listen(w.t.Context(), "127.0.0.1:0", webhook.Files{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- handler.Serve(ctx, listener) }()
	return "http://" + listener.Addr().String() + "/webhook/acr?secret=" + hookSecret, func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

// committed waits until the branch is no longer at a commit.
func (w *world) committed(after string) string {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if tip := w.git.Tip("demo", "main"); tip != after {
			return tip
		}
	}
	w.t.Fatal("no commit within a minute")
	return ""
}

// A hook that names the public host refreshes an application that uses another name of the same registry, long before the
// interval and the TTL of tag lists end.
func TestHook(t *testing.T) {
	for _, host := range []string{acrHost, "registry-vpc.cn-hangzhou.aliyuncs.com"} {
		t.Run(host, func(t *testing.T) {
			w := newWorld(t)
			w.reg.Push(echo, "v1.0", acr.Image{})
			u := w.announcer(host)
			created := w.line("demo", "rev-list", "--max-parents=0", "main")
			first := w.committed(created)
			w.reg.Push(echo, "v2.0", acr.Image{})
			w.announce(u)
			w.committed(first)
			if pins := w.git.File("demo", "main", "helm/.argocd-source-gitops-demo.yaml"); !strings.Contains(pins, "tag: v2.0") || !strings.Contains(pins, host) {
				t.Errorf("pins:\n%s", pins)
			}
		})
	}
}

// From a push to the commit with its pin, by the registry's own trigger, with a real registry and a real Git server on loopback.
func BenchmarkPushToCommit(b *testing.B) {
	w := newWorld(b)
	w.reg.Push(echo, "v0.1", acr.Image{})
	u := w.announcer(acrHost)
	tip := w.committed(w.line("demo", "rev-list", "--max-parents=0", "main"))
	var hook string
	w.reg.OnPush(func(a acr.Arrival) {
		if status, err := w.reg.Announce(hook, a); err != nil || status != http.StatusOK {
			b.Errorf("HTTP %d, %v", status, err)
		}
	})
	for n := 1; b.Loop(); n++ {
		b.StopTimer()
		var stop func()
		hook, stop = w.listen(u) // anew: one repository is looked at once in 5 s
		b.StartTimer()
		start := time.Now()
		w.reg.Push(echo, fmt.Sprintf("v%d.0", n), acr.Image{})
		tip = w.committed(tip)
		if took := time.Since(start); took > 2*time.Second {
			b.Errorf("push %d was pinned after %s, and 2s is what is promised", n, took)
		}
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}
