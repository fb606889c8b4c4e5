// Package argocd runs argo-cd's own repo-server for tests: Start gives one, and Generate is the call that the application
// controller makes; Local renders a directory.
package argocd

import (
	"cmp"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v2/reposerver/apiclient"
	reposervercache "github.com/argoproj/argo-cd/v2/reposerver/cache"
	"github.com/argoproj/argo-cd/v2/reposerver/metrics"
	"github.com/argoproj/argo-cd/v2/reposerver/repository"
	"github.com/argoproj/argo-cd/v2/util/argo"
	cacheutil "github.com/argoproj/argo-cd/v2/util/cache"
	"github.com/argoproj/argo-cd/v2/util/git"
	utilio "github.com/argoproj/argo-cd/v2/util/io"
	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/api/resource"
)

// RepoServer is argo-cd's repo-server service in this process, with its manifest cache in memory.
type RepoServer struct{ service *repository.Service }

// Start makes a repo-server that looks for plugin sockets in socketDir. It changes the process's environment, as the
// repo-server reads its settings from there.
func Start(t *testing.T, socketDir string) *RepoServer {
	t.Helper()
	return StartWith(t, socketDir, git.NoopCredsStore{})
}

// StartWith is Start with a store of credentials, as argo-cd's askpass server is one.
func StartWith(t *testing.T, socketDir string, store git.CredsStore) *RepoServer {
	t.Helper()
	return start(t, socketDir, store, repository.RepoServerInitConstants{})
}

// start takes what operators set of the repo-server.
func start(t *testing.T, socketDir string, store git.CredsStore, set repository.RepoServerInitConstants) *RepoServer {
	t.Helper()
	t.Setenv("ARGOCD_PLUGINSOCKFILEPATH", socketDir)
	t.Setenv("ARGOCD_GPG_ENABLED", "false")
	logrus.SetLevel(logrus.WarnLevel) // argo-cd logs every call
	cache := reposervercache.NewCache(cacheutil.NewCache(cacheutil.NewInMemoryCache(time.Hour)), 24*time.Hour, time.Minute, 10*time.Second)
	set.PauseGenerationAfterFailedGenerationAttempts, set.PauseGenerationOnFailureForMinutes = 3, 60
	service := repository.NewService(metrics.NewMetricsServer(), cache, set, argo.NewResourceTracking(), store, t.TempDir())
	if err := service.Init(); err != nil {
		t.Fatal(err)
	}
	return &RepoServer{service}
}

// A Request names what the controller asks for.
type Request struct {
	App      string // "gitops-demo" when empty
	RepoURL  string
	Username string // of Argo CD's own credentials for the repository
	Password string
	Revision string // "main" when empty
	Target   string // the target revision: Revision when empty
	Source   v1alpha1.ApplicationSource
	NoCache  bool
	Paths    string // the annotation manifest-generate-paths
	// Repos are Argo CD's other repositories, for native dependencies. BuildOptions are argocd-cm's kustomize.buildOptions.
	Repos        []*v1alpha1.Repository
	BuildOptions string
}

// KubeVersion is the cluster's version in every request.
const KubeVersion = "1.31.2"

// Generate asks for manifests; each is a JSON object.
func (s *RepoServer) Generate(ctx context.Context, r Request) ([]string, error) {
	answer, err := s.service.GenerateManifest(ctx, r.message())
	if err != nil {
		return nil, err
	}
	return answer.Manifests, nil
}

// Details asks which parameters the application's plugin announces, as Argo CD's UI does, and gives their names.
func (s *RepoServer) Details(ctx context.Context, r Request) ([]string, error) {
	q := r.message()
	answer, err := s.service.GetAppDetails(ctx, &apiclient.RepoServerAppDetailsQuery{
		Repo: q.Repo, Source: q.ApplicationSource, AppName: q.AppName, NoRevisionCache: true,
		KustomizeOptions: q.KustomizeOptions, HelmOptions: q.HelmOptions, TrackingMethod: q.TrackingMethod,
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range answer.Plugin.ParametersAnnouncement {
		names = append(names, p.Name)
	}
	return names, nil
}

// Local renders a directory that is no checkout with the same function of the repo-server, without its Git and its cache.
// `kustomize edit` and `helm dependency build` write to root. Revision is what ARGOCD_APP_REVISION says.
func (s *RepoServer) Local(ctx context.Context, root string, r Request) ([]string, error) {
	q := r.message()
	temporary := utilio.NewRandomizedTempPaths(root)
	answer, err := repository.GenerateManifests(ctx, filepath.Join(root, r.Source.Path), root, q.Revision, q, true,
		git.NoopCredsStore{}, resource.Quantity{}, temporary)
	if err != nil {
		return nil, err
	}
	return answer.Manifests, nil
}

// message is what the application controller sends.
func (r Request) message() *apiclient.ManifestRequest {
	app, revision := cmp.Or(r.App, "gitops-demo"), cmp.Or(r.Revision, "main")
	source := r.Source.DeepCopy()
	source.RepoURL, source.TargetRevision = r.RepoURL, cmp.Or(r.Target, revision)
	return &apiclient.ManifestRequest{
		Repo:              &v1alpha1.Repository{Repo: r.RepoURL, Username: r.Username, Password: r.Password, ForceHttpBasicAuth: true},
		Revision:          revision,
		NoRevisionCache:   true,
		NoCache:           r.NoCache,
		AppName:           app,
		Namespace:         "demo",
		ApplicationSource: source,
		KubeVersion:       KubeVersion,
		ApiVersions:       []string{"v1", "apps/v1", "apps/v1/Deployment", "networking.k8s.io/v1", "networking.k8s.io/v1/Ingress", "autoscaling/v2"},
		Repos:             r.Repos,
		KustomizeOptions:  &v1alpha1.KustomizeOptions{BuildOptions: r.BuildOptions},
		HelmOptions:       &v1alpha1.HelmOptions{ValuesFileSchemes: []string{"https", "http"}},
		ProjectName:       "default",
		TrackingMethod:    string(argo.TrackingMethodAnnotation),

		AnnotationManifestGeneratePaths: r.Paths,
	}
}
