package argocd

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v2/cmpserver"
	cmpapi "github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	cmpplugin "github.com/argoproj/argo-cd/v2/cmpserver/plugin"
	cmputil "github.com/argoproj/argo-cd/v2/util/cmp"
	"github.com/google/go-cmp/cmp"

	"github.com/tagpin/tagpin/test/acr"
	"github.com/tagpin/tagpin/test/program"
)

// startStock runs argo-cd's own argocd-cmp-server with the plugin.yaml of this repository, whose command is tagpin.
func startStock(t *testing.T, conf, secrets string) (sockets string) {
	t.Helper()
	dir := shortDir(t)
	confPath := filepath.Join(dir, "registries.conf")
	if err := os.WriteFile(confPath, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ARGOCD_PLUGINSOCKFILEPATH", dir)
	t.Setenv("ARGOCD_CMP_WORKDIR", filepath.Join(dir, "work"))
	t.Setenv("PATH", filepath.Dir(program.Tagpin(t))+":"+os.Getenv("PATH"))
	t.Setenv("TAGPIN_REGISTRIES_CONF_PATH", confPath)
	t.Setenv("TAGPIN_SECRETS_DIR", secrets)
	serveStock(t, "../..")
	return dir
}

// serveStock starts an argocd-cmp-server in this process, with the plugin.yaml of a directory and the environment as it is.
func serveStock(t *testing.T, configDir string) {
	t.Helper()
	config, err := cmpplugin.ReadPluginConfig(configDir)
	if err != nil {
		t.Fatal(err)
	}
	server, err := cmpserver.NewServer(cmpplugin.CMPServerInitConstants{PluginConfig: *config})
	if err != nil {
		t.Fatal(err)
	}
	grpcServer, err := server.CreateGRPC()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", config.Address())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = grpcServer.Serve(listener) }()
	t.Cleanup(grpcServer.Stop)
}

// environment is what the repo-server sends for an application, as far as a render depends on it.
func environment(path, parameters string) []string {
	return []string{
		"ARGOCD_APP_NAME=gitops-demo",
		"ARGOCD_APP_NAMESPACE=demo",
		"ARGOCD_APP_REVISION=0123456789abcdef0123456789abcdef01234567",
		"ARGOCD_APP_SOURCE_REPO_URL=https://git.example.com/demo.git",
		"ARGOCD_APP_SOURCE_PATH=" + path,
		"ARGOCD_APP_SOURCE_TARGET_REVISION=main",
		"KUBE_VERSION=" + KubeVersion,
		"KUBE_API_VERSIONS=v1,apps/v1,apps/v1/Deployment",
		"ARGOCD_APP_PARAMETERS=" + parameters,
	}
}

// call speaks to a plugin's socket as the repo-server does.
func call(t *testing.T, socket, root, path, parameters string) (*cmpapi.ManifestResponse, error) {
	t.Helper()
	ctx := t.Context()
	closer, client, err := cmpapi.NewConfigManagementPluginClientSet(socket).NewConfigManagementPluginClient()
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	stream, err := client.GenerateManifest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmputil.SendRepoStream(ctx, filepath.Join(root, path), root, stream, environment(path, parameters), nil); err != nil {
		t.Fatal(err)
	}
	return stream.CloseAndRecv()
}

// tagpin behind the stock argocd-cmp-server answers with the same bytes as its own server.
func TestStockServerAnswersTheSame(t *testing.T) {
	reg := acr.Start(t, acr.Options{})
	reg.Push(echoRepo, "v1.0", acr.Image{})
	reg.Push(echoRepo, "v2.0", acr.Image{})
	conf, secrets := reg.ConfFile(acrSecret, acrHost), secretsWith(t, acr.User+":"+acr.Password)
	side := startSidecar(t, conf, secrets)
	stock := startStock(t, conf, secrets)
	git := newCheckout(t, "../../examples/gitops-demo")
	if err := os.CopyFS(filepath.Join(git.dir, "charts"), os.DirFS("../testdata/render")); err != nil {
		t.Fatal(err)
	}
	git.commit("gitops-demo")

	const parameters = `[{"name":"image-list","string":"echoserver=` + echoServer + `"},{"name":"write-back-method","string":"none"}]`
	for _, path := range []string{"helm", "charts/webshop", "kustomize/overlays/prod"} {
		t.Run(path, func(t *testing.T) {
			own, err := call(t, filepath.Join(side.sockets, "tagpin.sock"), git.dir, path, parameters)
			if err != nil {
				t.Fatal(err)
			}
			behind, err := call(t, filepath.Join(stock, "tagpin.sock"), git.dir, path, parameters)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(behind.Manifests, own.Manifests); diff != "" {
				t.Errorf("own server differs from the stock one (-stock +own):\n%s", diff)
			}
			if len(own.Manifests) < 2 {
				t.Errorf("only %d manifests", len(own.Manifests))
			}
		})
	}
}
