package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
)

const hookSecret = "hook-Canary-0123456789abcdef0123456789"

// stages are moments between a push to the registry and the end of the rollout.
type stages struct {
	pinned   time.Time // the commit is in Git
	seen     time.Time // Argo CD compares with that commit
	deployed time.Time // the Deployment has the new image
	synced   time.Time // Argo CD finds the application in sync and healthy
}

// How long it takes from a push to a synced Deployment, by stage, with tagpin's and Argo CD's own defaults. It reports; only
// what would be wrong on the slowest machine fails.
func TestTimes(t *testing.T) {
	w := newWorld(t, v2)
	w.mountOperatorFiles(bindYou + "webhooks:\n- secret: secret:argocd/tagpin-webhook#secret\n  repositories: [" + acrHost + "]\n")
	w.write("secrets/argocd/tagpin-webhook/secret", hookSecret)
	w.startTagpin("--webhook-addr", "127.0.0.1:"+hookPort)
	w.registry.Push(echoRepo, "v1.0", acr.Image{})
	w.createRepository("you/times", nil)
	a := app{name: "times", repo: "you/times"}
	w.create(a)
	eventually(t, "the first pin is deployed", func() error {
		if w.commits("you/times") < 2 {
			return fmt.Errorf("no pin yet")
		}
		return w.deployed(a, "v1.0")
	})

	report := []string{"from the push of a tag, in seconds, to: the commit of its pin | Argo CD sees it | the Deployment has it | synced and healthy"}
	for i, c := range []struct {
		name             string
		registry, argocd bool
		limit            time.Duration
	}{
		{"both hooks", true, true, 2 * time.Minute},
		{"Argo CD's Git webhook alone", false, true, 4 * time.Minute},
		{"no hook", false, false, 8 * time.Minute},
	} {
		if c.argocd {
			w.tellArgoCD("you/times")
		} else {
			w.git.Hook("you/times", "post-receive", "exit 0")
		}
		time.Sleep(reconcile.DefaultDistance + 5*time.Second) // a push within it would wait for its end
		tag := fmt.Sprintf("v%d.0", i+2)
		started := time.Now()
		w.registry.Push(echoRepo, tag, acr.Image{})
		if c.registry {
			w.announce(t, echoRepo, tag)
		}
		s := w.watch(a, tag, c.limit)
		report = append(report, fmt.Sprintf("%s: %.1f | %.1f | %.1f | %.1f", c.name, s.pinned.Sub(started).Seconds(), s.seen.Sub(started).Seconds(),
			s.deployed.Sub(started).Seconds(), s.synced.Sub(started).Seconds()))
	}
	t.Log(strings.Join(report, "\n"))
}

// announce is what a trigger of ACR sends.
func (w *world) announce(t *testing.T, repo, tag string) {
	t.Helper()
	namespace, name, _ := strings.Cut(repo, "/")
	body := fmt.Sprintf(`{"push_data":{"digest":"sha256:%064d","pushed_at":"2026-01-01 00:00:00","tag":%q},
"repository":{"date_created":"2026-01-01 00:00:00","name":%q,"namespace":%q,"region":"cn-hangzhou","repo_authentication_type":"NO_CERTIFIED",
"repo_full_name":%q,"repo_origin_type":"NO_CERTIFIED","repo_type":"PUBLIC"}}`, 0, tag, name, namespace, repo)
	resp, err := http.Post("http://127.0.0.1:"+hookPort+"/webhook/acr?secret="+hookSecret, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the announcement: %s", resp.Status)
	}
}

// watch waits for the stages of a rollout.
func (w *world) watch(a app, tag string, limit time.Duration) stages {
	w.t.Helper()
	var s stages
	before := w.git.Tip(a.repo, "main")
	deadline := time.Now().Add(limit)
	for ; s.synced.IsZero(); time.Sleep(20 * time.Millisecond) {
		now := time.Now()
		if now.After(deadline) {
			w.t.Fatalf("%s is not deployed after %s: %v", tag, limit, w.deployed(a, tag))
		}
		tip := w.git.Tip(a.repo, "main")
		if s.pinned.IsZero() && tip != before {
			s.pinned = now
		}
		if s.pinned.IsZero() {
			continue
		}
		state, err := w.state(a)
		if err == nil && s.seen.IsZero() && state.Status.Sync.Revision == tip {
			s.seen = now
		}
		if image, err := w.cluster.deployedImage(a.name, a.name+"-gitops-demo"); err == nil && s.deployed.IsZero() && image == echo+":"+tag {
			s.deployed = now
		}
		if !s.deployed.IsZero() && w.deployed(a, tag) == nil {
			s.synced = now
		}
	}
	return s
}
