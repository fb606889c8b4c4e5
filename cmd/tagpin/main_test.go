package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tagpin/tagpin/render/worker"
	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/gitserver"
	"github.com/tagpin/tagpin/test/redisserver"
)

func TestMain(m *testing.M) {
	if worker.IsWorker() {
		os.Exit(worker.Main())
	}
	testscript.Main(m, map[string]func(){"tagpin": func() { os.Exit(run()) }})
}

// Each script is a feature of the command line. All of them ask one real registry that answers like ACR, which stands in
// for registry.cn-hangzhou.aliyuncs.com, and one real Git server.
func TestScripts(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	built := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, tag := range []string{"v1.0", "v1.1", "v2.0-rc.1", "v2.0", "nightly"} {
		reg.Push("haoshuwei24/echo-server", tag, acr.Image{Created: built.Add(time.Duration(i) * time.Hour)})
	}
	charts, err := filepath.Abs("../../examples/gitops-demo")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	custom := acr.Start(t, acr.Options{TLS: true, Service: "registry.aliyuncs.com:cn-shanghai:china:cri-abc123"})
	custom.Push("team/app", "v1.0", acr.Image{Created: built})
	commands := hookCommands()
	remotes := servers{reg, gitserver.Start(t, gitserver.Options{Username: gitUser, Password: gitPassword})}
	maps.Copy(commands, remotes.commands())
	shared := redisserver.Start(t, redisserver.Options{})
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		Cmds:               commands,
		UpdateScripts:      os.Getenv("UPDATE_SCRIPTS") != "",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			conf := filepath.Join(env.WorkDir, "registries.conf")
			if err := os.WriteFile(conf, []byte(reg.ConfFile("secret:argocd/acr#acr", "registry.cn-hangzhou.aliyuncs.com")), 0o600); err != nil {
				return err
			}
			secret := filepath.Join(env.WorkDir, "secrets", "argocd", "acr")
			if err := os.MkdirAll(secret, 0o700); err != nil {
				return err
			}
			if err := os.CopyFS(filepath.Join(env.WorkDir, "gitops-demo"), os.DirFS(charts)); err != nil {
				return err
			}
			env.Setenv("TAGPIN_REGISTRIES_CONF_PATH", conf)
			env.Setenv("TAGPIN_SECRETS_DIR", filepath.Join(env.WorkDir, "secrets"))
			env.Setenv("ECHO", "registry.cn-hangzhou.aliyuncs.com/haoshuwei24/echo-server")
			env.Setenv("ROOT", root)
			env.Setenv("REDIS", shared.Addr())
			env.Setenv("REDIS_SECRET", redisserver.Password)
			env.Setenv("CUSTOM", custom.Host()) // a custom domain of an Enterprise instance, whose certificate is in custom.pem
			if err := os.WriteFile(filepath.Join(env.WorkDir, "custom.pem"), custom.CA(), 0o600); err != nil {
				return err
			}
			env.Setenv("ACR_LOGIN", acr.User+":"+acr.Password)
			if err := os.WriteFile(filepath.Join(secret, "acr"), []byte(acr.User+":"+acr.Password), 0o600); err != nil {
				return err
			}
			return remotes.setup(env)
		},
	})
}
