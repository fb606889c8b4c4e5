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
	last               string // the image of the manifests it got last
}

func (s *repoServer) generate(ctx context.Context, path string) (string, error) {
	checkout := filepath.Join(s.dir, "checkout")
	if err := s.checkout(ctx, checkout); err != nil {
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
	if err := cmp.SendRepoStream(ctx, filepath.Join(checkout, path), checkout, stream, s.environment(path), nil); err != nil {
		return "", err
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return "", err
	}
	s.last, err = deployedImage(answer.Manifests)
	return s.last, err
}

// environment is what an Application with these plugin parameters makes the repo-server send.
func (s *repoServer) environment(path string) []string {
	parameters, err := json.Marshal([]map[string]string{
		{"name": "image-list", "string": "echoserver=" + s.image},
		{"name": "write-back-method", "string": "none"},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return []string{
		"ARGOCD_APP_NAME=gitops-demo",
		"ARGOCD_APP_NAMESPACE=demo",
		"ARGOCD_APP_SOURCE_REPO_URL=" + s.git.url(),
		"ARGOCD_APP_SOURCE_PATH=" + path,
		"ARGOCD_APP_SOURCE_TARGET_REVISION=main",
		"KUBE_VERSION=1.33.4",
		"ARGOCD_APP_PARAMETERS=" + string(parameters),
	}
}

func (s *repoServer) checkout(ctx context.Context, dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "git", "clone", "-q", s.git.url(), dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("git clone: %w: %s", err, out)
	}
	return nil
}

// written is the tag that the files in Git say.
func (s *repoServer) written(string) string { return "v1.0" }

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
