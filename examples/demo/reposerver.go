package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
	"github.com/argoproj/argo-cd/v2/util/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// repoServer does what argocd-repo-server does for an application whose source names a plugin: it checks the commit out,
// opens the plugin's socket, sends the repository as a stream and takes manifests.
type repoServer struct {
	socket, dir, image string
	git                gitRemote
}

// The paths of the two applications.
const (
	helmPath    = "helm"
	overlayPath = "kustomize/overlays/prod"
)

// generate gives the image of the manifests at a revision; empty is the branch's tip.
func (s *repoServer) generate(ctx context.Context, path, revision string) (string, error) {
	if revision == "" {
		revision = s.git.tip(ctx)
	}
	checkout := filepath.Join(s.dir, "checkout")
	if err := s.checkout(ctx, checkout, revision); err != nil {
		return "", err
	}
	closer, client, err := apiclient.NewConfigManagementPluginClientSet(s.socket).NewConfigManagementPluginClient()
	if err != nil {
		return "", err
	}
	defer closer.Close()
	stream, err := client.GenerateManifest(ctx)
	if err != nil {
		return "", err
	}
	if err := cmp.SendRepoStream(ctx, filepath.Join(checkout, path), checkout, stream, s.environment(path, revision), nil); err != nil {
		return "", err
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return "", err
	}
	return deployedImage(answer.Manifests)
}

// environment is what an Application with these plugin parameters makes the repo-server send.
func (s *repoServer) environment(path, revision string) []string {
	app := "gitops-demo"
	settings := []map[string]string{
		{"name": "image-list", "string": "echoserver=" + s.image},
		{"name": "write-back-method", "string": "git:secret:argocd/git-creds"},
	}
	if path == overlayPath {
		app = "gitops-demo-prod"
		settings = append(settings, map[string]string{"name": "write-back-target", "string": "kustomization"})
	}
	parameters, err := json.Marshal(settings)
	if err != nil {
		panic(err) // strings always marshal
	}
	return []string{
		"ARGOCD_APP_NAME=" + app,
		"ARGOCD_APP_NAMESPACE=demo",
		"ARGOCD_APP_REVISION=" + revision,
		"ARGOCD_APP_SOURCE_REPO_URL=" + s.git.url(),
		"ARGOCD_APP_SOURCE_PATH=" + path,
		"ARGOCD_APP_SOURCE_TARGET_REVISION=main",
		"KUBE_VERSION=1.33.4",
		"ARGOCD_APP_PARAMETERS=" + string(parameters),
	}
}

func (s *repoServer) checkout(ctx context.Context, dir, revision string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, args := range [][]string{{"clone", "-q", s.git.url(), dir}, {"-C", dir, "checkout", "-q", "--detach", revision}} {
		if out, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

func deployedImage(manifests []string) (string, error) {
	for _, m := range manifests {
		var object unstructured.Unstructured
		if err := json.Unmarshal([]byte(m), &object.Object); err != nil {
			return "", err
		}
		if object.GetKind() != "Deployment" {
			continue
		}
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil || len(containers) == 0 {
			return "", fmt.Errorf("the Deployment has no containers: %w", err)
		}
		image, _, err := unstructured.NestedString(containers[0].(map[string]any), "image")
		return image, err
	}
	return "", fmt.Errorf("no Deployment in %d manifests", len(manifests))
}
