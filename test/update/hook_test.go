package update

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// announcer runs a loop whose interval never comes again, and gives what announces pushes of echo to it.
func (w *world) announcer(host string) (announce func()) {
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
	return func() { w.announce(u) }
}

// announce sends ACR's payload, which names the public host's region, from a sender who hasn't sent anything yet.
func (w *world) announce(u *updater) {
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
	body := fmt.Sprintf(`{"push_data":{"tag":"not-used"},"repository":{"repo_full_name":%q,"region":"cn-hangzhou"}}`, echo)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/webhook/acr?secret="+hookSecret, strings.NewReader(body)))
	if answer.Code != http.StatusOK {
		w.t.Fatalf("HTTP %d %s", answer.Code, answer.Body)
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
			announce := w.announcer(host)
			created := w.line("demo", "rev-list", "--max-parents=0", "main")
			first := w.committed(created)
			w.reg.Push(echo, "v2.0", acr.Image{})
			announce()
			w.committed(first)
			if pins := w.git.File("demo", "main", "helm/.argocd-source-gitops-demo.yaml"); !strings.Contains(pins, "tag: v2.0") || !strings.Contains(pins, host) {
				t.Errorf("pins:\n%s", pins)
			}
		})
	}
}

// From the announcement of a push to the commit with its pin, with a real registry and a real Git server on loopback.
func BenchmarkHookToCommit(b *testing.B) {
	w := newWorld(b)
	w.reg.Push(echo, "v0.1", acr.Image{})
	announce := w.announcer(acrHost)
	tip := w.committed(w.line("demo", "rev-list", "--max-parents=0", "main"))
	for n := 1; b.Loop(); n++ {
		b.StopTimer()
		w.reg.Push(echo, fmt.Sprintf("v%d.0", n), acr.Image{})
		b.StartTimer()
		start := time.Now()
		announce()
		tip = w.committed(tip)
		if took := time.Since(start); took > 2*time.Second {
			b.Errorf("push %d was pinned after %s, and 2s is what is promised", n, took)
		}
	}
}
