package config

import (
	"errors"
	"strings"
	"testing"
)

func TestURLCovers(t *testing.T) {
	for _, tt := range []struct {
		prefix, url string
		want        bool
	}{
		{"https://host", "https://host/any/thing", true},
		{"https://host/", "https://host", true},
		{"host/team", "https://host/team/app", true},
		{"host:5000/team", "https://host:5000/team", true},
		{"oci://host/team", "https://host/team/chart", true},
		{"https://host:443/a", "https://HOST./a/b", true},
		{"https://host/a", "https://host:0443/a", true},
		{"http://host:80/a", "http://host/a", true},
		{"https://host/a%20b", "https://host/a%20b/c", true},
		{"https://[::1]:5000/a", "https://[::1]:5000/a", true},
		{"https://bücher.example/a", "https://bücher.example/a", true},
		{"ssh://git@host/team", "git@host:team/repo.git", true},
		{"git@host:team/repo", "ssh://git@host:22/team/repo.git", true},
		{"https://host/team/repo.git", "https://host/team/repo", true},
		{"https://host/team", "https://host/teams", false},
		{"https://host/team", "https://host/tea", false},
		{"https://host/team", "https://host/Team", false},
		{"https://host/team/app", "https://host/team", false},
		{"https://host", "https://host.evil", false},
		{"https://kost", "https://\u212aost", false}, // the Kelvin sign
		{"https://host", "https://evilhost", false},
		{"https://host", "https://evil/host", false},
		{"https://host", "http://host", false},
		{"https://host", "https://host:444", false},
		{"https://host", "ssh://git@host/a", false},
		{"ssh://git@host", "ssh://root@host/a", false},
		{"https://host/team.git", "https://host/team/repo", false},
		{"https://bücher.example", "https://xn--bcher-kva.example", false},
	} {
		prefix, err := ParseURL(tt.prefix)
		if err != nil {
			t.Errorf("%s: %v", tt.prefix, err)
			continue
		}
		u, err := ParseURL(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if got := prefix.covers(u, Git); got != tt.want {
			t.Errorf("%s covers %s: %v", prefix, u, got)
		}
	}
}

func TestURLRefused(t *testing.T) {
	for _, s := range []string{
		"", " ", "https://", "https:///a", "ftp://host/a", "file:///etc/passwd", "https:host/a", "javascript:alert(1)",
		"https://host@evil/a", "https://user:canary@host/a", "https://:canary@host", "https://@host/a", "user:canary@host/a", "canary@host/a",
		"ssh://git:canary@host/a", "https://host/a?b", "https://host/a?", "https://host/a#b", "https://host/a#",
		"https://host/../a", "https://host/a/..", "https://host/./a", "https://host//a", "https://host/a//b", "https://host/a//",
		"https://host/%2e%2e/a", "https://host/%2E/a", "https://host/.%2e/a", "https://host/a%2fb", "https://host/a%2Fb", "https://host/a%5cb",
		"https://host/team/..;/other", "https://host/%252e%252e/a", "https://host/a%00", "https://host/a%0ab", "https://host/a%zz", `https://host\@evil/a`, "https://host/a b", "https://host/a\n",
		"https://host:0/a", "https://host:70000/a", "https://host:5x/a", "https://host..", "https://.host", "https://ho..st", "https://ho%73t/a", "https://[::1%25eth0]/a",
		"https://a,b/", "https://h\xec", "https://h/\xec", "https://h/%ec", "https://h%ec/", "git@host:../a", "git@host:/../a", "https://host/" + strings.Repeat("a", maxURL), "://host", "https//host:x",
	} {
		u, err := ParseURL(s)
		if err == nil {
			t.Errorf("%q was read as %s", s, u)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: the error shows a secret: %v", s, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://host/a/b", "host:5000/x", "git@host:a/b.git", "https://[::1]:5/a%20b", "oci://H./x", "https://h/%2e%2e"} {
		f.Add(s)
	}
	base, err := ParseURL("https://host/team")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			return
		}
		again, err := ParseURL(u.String())
		if err != nil || again.String() != u.String() || !again.covers(u, Registry) || !u.covers(again, Registry) {
			t.Errorf("%q → %q → %q, %v", s, u, again, err)
		}
		if base.covers(u, Registry) && u.String() != "https://host/team" && !strings.HasPrefix(u.String(), "https://host/team/") {
			t.Errorf("%s covers %s", base, u)
		}
		if strings.Contains(u.String()+"/", "/../") {
			t.Errorf("%s climbs", u)
		}
	})
}

const bindings = `
bindings:
- {credential: "secret:argocd/acr", kind: registry, url: registry.example/shop, projects: [shop-*]}
- {credential: "secret:argocd/acr", kind: registry, url: registry.example/other-tenant, applications: [hidden-neighbour]}
- {credential: "secret:argocd/git#token", kind: git, url: "https://git.example/team", paths: [apps/*], branches: [main], targets: [env/*.yaml]}
- {credential: "pullsecret:argocd/pull", kind: registry, url: registry.example, repositories: ["https://git.example/team"]}
- {credential: "env:TOKEN", kind: chart, url: charts.example}
`

func TestBound(t *testing.T) {
	s := parse(t, bindings)
	acr := Use{Credential: "secret:argocd/acr#password", Kind: Registry, URL: "https://registry.example/shop/app", App: App{Name: "web", Project: "shop-eu"}}
	git := Use{Credential: "secret:argocd/git#token", Kind: Git, URL: "https://git.example/team/r.git", App: App{Name: "web", Path: "apps/web", Branch: "refs/heads/main"}}
	pull := Use{Credential: "pullsecret:argocd/pull", Kind: Registry, URL: "registry.example/x", App: App{Name: "web", RepoURL: "https://git.example/team/r"}}
	with := func(u Use, change func(*Use)) Use { change(&u); return u }
	for name, tt := range map[string]struct {
		use  Use
		want string // part of the error, empty when bound
	}{
		"field of a bound Secret": {acr, ""},
		"git":                     {git, ""},
		"pull secret":             {pull, ""},
		"env":                     {Use{Credential: "env:TOKEN", Kind: Chart, URL: "https://charts.example/x"}, ""},
		"other repository":        {with(acr, func(u *Use) { u.URL = "registry.example/shopping/app" }), "but for another url;"},
		"other kind":              {with(acr, func(u *Use) { u.Kind = Git }), "but for another kind;"},
		"other project":           {with(acr, func(u *Use) { u.App.Project = "bank" }), "but for another project;"},
		"no project":              {with(acr, func(u *Use) { u.App.Project = "" }), "Argo CD before v3.0 doesn't tell plugins the project"},
		"unbound":                 {with(acr, func(u *Use) { u.Credential = "secret:argocd/none" }), "no binding for this credential"},
		"other field":             {with(git, func(u *Use) { u.Credential = "secret:argocd/git#password" }), "no binding for this credential"},
		"whole Secret for field":  {with(git, func(u *Use) { u.Credential = "secret:argocd/git" }), "no binding for this credential"},
		"other path":              {with(git, func(u *Use) { u.App.Path = "apps/../infra/x" }), "but for another path;"},
		"path out of the tree":    {with(git, func(u *Use) { u.App.Path = "../apps/web" }), "but for another path;"},
		"deeper path":             {with(git, func(u *Use) { u.App.Path = "apps/web/sub" }), "but for another path;"},
		"other branch":            {with(git, func(u *Use) { u.App.Branch = "evil" }), "but for another branch;"},
		"branch unknown":          {with(git, func(u *Use) { u.App.Branch = "" }), "but for another branch;"},
		"other source":            {with(pull, func(u *Use) { u.App.RepoURL = "https://git.example/teams/r" }), "but for another repository;"},
		"source unreadable":       {with(pull, func(u *Use) { u.App.RepoURL = "" }), "but for another repository;"},
		"target":                  {with(git, func(u *Use) { u.Target = "env/prod.yaml" }), ""},
		"other target":            {with(git, func(u *Use) { u.Target = "apps/bank/values.yaml" }), "but for another target;"},
		"target that climbs":      {with(git, func(u *Use) { u.Target = "env/../bank.yaml" }), "but for another target;"},
		"two parts":               {with(git, func(u *Use) { u.App.Branch, u.App.Path = "b", "p" }), "but for another path, branch;"},
		"bad reference":           {with(acr, func(u *Use) { u.Credential = "canary" }), `application "web": unknown credential source`},
		"bad URL":                 {with(acr, func(u *Use) { u.URL = "https://canary:canary@registry.example" }), `application "web", secret:argocd/acr#password: the URL holds user information`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := s.Bound(tt.use)
			if tt.want == "" {
				if err != nil || b.Kind != tt.use.Kind {
					t.Errorf("%+v, %v", b, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v\nwant %s", err, tt.want)
			}
			for _, hidden := range []string{"other-tenant", "hidden-neighbour", "shop-*", "canary"} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("the error shows %s: %v", hidden, err)
				}
			}
		})
	}
}

// What an unbound error shows is a file that allows the use, and no other application's.
func TestUnboundShowsWhatToAdd(t *testing.T) {
	for _, app := range []App{{Name: "web", Project: "shop"}, {Name: "ns_web*["}, {Name: "a\n- evil: x", Project: ""}} {
		use := Use{Credential: "secret:argocd/git", Kind: Git, URL: "git.example:443/shop/app", App: app, Target: "env/[prod].yaml"}
		_, err := Settings{}.Bound(use)
		var unbound *UnboundError
		if !errors.As(err, &unbound) {
			t.Fatal(err)
		}
		s := parse(t, unbound.Add)
		if _, err := s.Bound(use); err != nil {
			t.Errorf("the shown lines don't bind: %v\n%s", err, unbound.Add)
		}
		use.App = App{Name: "ns_webX[", Project: "bank"}
		if _, err := s.Bound(use); err == nil {
			t.Errorf("the shown lines bind another application:\n%s", unbound.Add)
		}
	}
	_, err := Settings{}.Bound(Use{Credential: "secret:argocd/acr", Kind: Registry, URL: "registry.example/shop", App: App{Name: "web", Project: "shop"}})
	const want = `application "web" may not use secret:argocd/acr for the registry https://registry.example/shop: the operator's settings have no binding for this credential; an operator can allow it in tagpin.yaml:
bindings:
    - credential: secret:argocd/acr
      kind: registry
      url: https://registry.example/shop
      projects:
        - shop
`
	if err.Error() != want {
		t.Errorf("got %s", err)
	}
}
