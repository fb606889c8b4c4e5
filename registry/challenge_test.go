package registry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/registry"
	"github.com/tagpin/tagpin/test/acr"
)

// ask asks the server at url for the tags of team/app, with the given lines in its entry of registries.conf.
func ask(t *testing.T, url, lines string) ([]string, error) {
	t.Helper()
	s := &setup{t: t, secrets: t.TempDir(), conf: t.TempDir() + "/registries.conf"}
	s.secret("argocd", "acr", "acr", acr.User+":"+acr.Password)
	s.write(fmt.Sprintf("registries:\n- name: t\n  prefix: t.example\n  api_url: %s\n%s", url, lines))
	regs, err := registry.New(registry.Options{ConfPath: s.conf, Secrets: config.OpenSecrets(s.secrets), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := regs.Repository(t.Context(), image.Application{}, entry("t.example", "team/app"))
	if err != nil {
		t.Fatal(err)
	}
	return r.Tags(t.Context())
}

const withSecret = "  insecure: true\n  credentials: secret:argocd/acr#acr\n"

func TestAnonymousPull(t *testing.T) {
	s := acr.Start(t, acr.Options{Public: true})
	s.Push("team/app", "v1", acr.Image{})
	if tags, err := ask(t, s.URL(), "  insecure: true\n"); err != nil || len(tags) != 1 {
		t.Errorf("%v, %v", tags, err)
	}
}

func TestPrivateRepositoryWithoutALogin(t *testing.T) {
	s := acr.Start(t, acr.Options{})
	s.Push("team/app", "v1", acr.Image{})
	_, err := ask(t, s.URL(), "  insecure: true\n")
	if err == nil || !strings.Contains(err.Error(), "add credentials to its entry in registries.conf") {
		t.Errorf("%v", err)
	}
	noSecrets(t, err)
}

func TestBasicAuthentication(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != acr.User || p != acr.Password {
			w.Header().Set("Www-Authenticate", `Basic realm="registry"`)
			http.Error(w, acr.Leak, http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"name":"team/app","tags":["v1","-no-tag","v2","v2"]}`)
	}))
	defer s.Close()
	tags, err := ask(t, s.URL, withSecret)
	if err != nil || fmt.Sprint(tags) != "[v1 v2]" {
		t.Errorf("%v, %v", tags, err)
	}
}

// Each of these challenges would carry the password somewhere it must not go.
func TestTokenServersThatAreNotFollowed(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = true
		fmt.Fprint(w, `{"token":"t"}`)
	}))
	defer elsewhere.Close()
	port := elsewhere.URL[strings.LastIndexByte(elsewhere.URL, ':'):]
	for _, c := range []struct{ realm, says string }{
		{elsewhere.URL + "/auth", "token server that is not followed"},            // a private address
		{"http://localhost" + port + "/auth", "plain http is only used with"},     // http on another host
		{"https://localhost" + port + "/auth", "has a loopback address"},          // a name for a private address
		{"https://metadata.example@169.254.169.254/auth", "is not followed"},      // metadata
		{"https://2852039166/auth", "is not followed"},                            // 169.254.169.254, written as a number
		{"ftp://t.example/auth", "token server that is not followed"},             // no web address
		{"https://no-such-host.invalid/auth", "DNS"},                              // followed, and not there
		{`https://t.example/auth" error="Canary`, "DNS"},                          // whatever else it says
		{"", "answer cannot be understood: check that api_url names a container"}, // none
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			challenge := `Bearer service="t"`
			if c.realm != "" {
				challenge += fmt.Sprintf(`,realm="%s"`, c.realm)
			}
			w.Header().Set("Www-Authenticate", challenge)
			http.Error(w, acr.Leak, http.StatusUnauthorized)
		}))
		_, err := ask(t, s.URL, withSecret)
		s.Close()
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("realm %s: %v, want %q", c.realm, err, c.says)
		}
		noSecrets(t, err)
	}
	if asked {
		t.Error("the other host was asked")
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for _, c := range []struct {
		name, says string
		answer     http.HandlerFunc
	}{
		{"a web page", "cannot be understood", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Canary</html>") }},
		{"a redirect to a private address", "is not followed", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			http.Redirect(w, r, "https://10.0.0.1/Canary", http.StatusFound)
		}},
		{"an endless list", "larger than any list", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `</v2/team/app/tags/list?last=Canary>; rel="next"`)
			fmt.Fprint(w, `{"tags":["v1"]}`)
		}},
		{"no registry", "no registry API on this host", http.NotFound},
		{"another status", "refused the request", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Canary", http.StatusTeapot) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			_, err := ask(t, s.URL, withSecret+"  limit: 100000\n")
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			noSecrets(t, err)
		})
	}
}

func TestRegistryDown(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	_, err := ask(t, s.URL, withSecret)
	if err == nil || !strings.Contains(err.Error(), "nothing listens at the registry's address") || !registry.ServeStale(err) {
		t.Errorf("%v", err)
	}
}

func TestNamesThatNoRepositoryCanHave(t *testing.T) {
	regs, err := registry.New(registry.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../admin", "a/../b", "a//b", "A/b", "a/b?x=1", "a/b#c", "", "/a", "a/", strings.Repeat("a", 300)} {
		if _, err := regs.Repository(t.Context(), image.Application{}, entry("reg.example", path)); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
}
