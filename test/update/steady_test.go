package update

import (
	"fmt"
	"testing"
	"time"

	"github.com/tagpin/tagpin/reconcile"
	"github.com/tagpin/tagpin/test/acr"
)

// steady gives what one check asks of the registry and of Git when nothing was pushed: fifty applications with one image.
func steady(t testing.TB, parameters ...string) (registryRequests, gitRequests int64) {
	w := newWorld(t)
	files := map[string]string{}
	const apps = 50
	for i := range apps {
		files[fmt.Sprintf("apps/app-%02d/Chart.yaml", i)] = "name: x\n"
	}
	w.git.Create("mono", files)
	w.reg.Push(echo, "v1.0", acr.Image{})
	u := w.updater(time.Second)
	observe := func() {
		for i := range apps {
			h := w.hint("mono", fmt.Sprintf("app-%02d", i), fmt.Sprintf("apps/app-%02d", i), parameters...)
			u.Observe(h)
		}
	}
	observe()
	check(t, u)
	observe() // rendered at the commit that the loop made
	check(t, u)
	time.Sleep(1100 * time.Millisecond) // the list's time ends
	w.git.Reset()
	before := u.registries.Requests()
	if sum := check(t, u); sum.Applications != apps || sum.Updated != 0 || sum.Errors != 0 {
		t.Fatalf("the check is not a steady one: %+v", sum)
	}
	return u.registries.Requests() - before, int64(w.git.Counts().Requests)
}

func check(t testing.TB, u *updater) reconcile.Summary {
	u.Take(t.Context())
	return u.Check(t.Context())
}

// However many applications use an image, a check in which nothing was pushed costs one request for it, and none to Git.
func TestSteadyStateCostsOneRequest(t *testing.T) {
	for name, parameters := range map[string][]string{
		"semver": nil,
		"digest": {"echoserver.update-strategy", "digest", "image-list", "echoserver=" + echoServer + ":v1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, git := steady(t, parameters...)
			t.Logf("50 applications: %d registry requests and %d Git requests in a check", asked, git)
			if asked > 2 || name == "semver" && asked != 1 || git != 0 {
				t.Errorf("%d registry requests and %d Git requests", asked, git)
			}
		})
	}
}
