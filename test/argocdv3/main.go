// Argocdv3 renders with the repo-server of Argo CD 3, for test/parity: it reads requests as JSON from its standard input and
// writes the answers to descriptor 3, since Argo CD logs to the standard output. It is a module of its own, as Argo CD 3 and 2 need other versions of Kubernetes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/argoproj/argo-cd/v3/reposerver/apiclient"
	reposervercache "github.com/argoproj/argo-cd/v3/reposerver/cache"
	"github.com/argoproj/argo-cd/v3/reposerver/metrics"
	"github.com/argoproj/argo-cd/v3/reposerver/repository"
	cacheutil "github.com/argoproj/argo-cd/v3/util/cache"
	"github.com/argoproj/argo-cd/v3/util/git"
	utilio "github.com/argoproj/argo-cd/v3/util/io"
	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A request is a message of the application controller. With a Root it is rendered from that directory, without Git.
type request struct {
	Root    string
	Message *apiclient.ManifestRequest
}

type answer struct {
	Manifests []string
	Error     string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "argocdv3:", err)
		os.Exit(1)
	}
}

func run() error {
	logrus.SetLevel(logrus.FatalLevel)
	dir, err := os.MkdirTemp("", "argocdv3")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// Argo CD's image has this script, and its repo-server runs it for every commit. Nothing is signed here.
	if err := os.WriteFile(filepath.Join(dir, "git-verify-wrapper.sh"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		return err
	}
	if err := os.Setenv("PATH", dir+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	cache := reposervercache.NewCache(cacheutil.NewCache(cacheutil.NewInMemoryCache(time.Hour)), 24*time.Hour, time.Minute, 10*time.Second)
	service := repository.NewService(metrics.NewMetricsServer(), cache, repository.RepoServerInitConstants{}, git.NoopCredsStore{}, filepath.Join(dir, "repositories"))
	if err := service.Init(); err != nil {
		return err
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.NewFile(3, "answers"))
	for {
		var r request
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var a answer
		response, err := render(context.Background(), service, r)
		if err != nil {
			a.Error = err.Error()
		} else {
			a.Manifests = response.Manifests
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func render(ctx context.Context, service *repository.Service, r request) (*apiclient.ManifestResponse, error) {
	if r.Root == "" {
		return service.GenerateManifest(ctx, r.Message)
	}
	return repository.GenerateManifests(ctx, filepath.Join(r.Root, r.Message.ApplicationSource.Path), r.Root, r.Message.Revision,
		r.Message, true, git.NoopCredsStore{}, resource.Quantity{}, utilio.NewRandomizedTempPaths(r.Root))
}
