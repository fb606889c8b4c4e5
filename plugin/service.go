package plugin

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	cmpplugin "github.com/argoproj/argo-cd/v2/cmpserver/plugin"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"

	"github.com/tagpin/tagpin/plugin/archive"
)

const (
	// beforeCaller is how much earlier than its caller a call gives up, so that its error still arrives.
	beforeCaller = 500 * time.Millisecond
	// graceDrain is how long a call that passed its deadline goes on receiving, so that its error arrives.
	graceDrain = 5 * time.Second
	// graceWork is how long a call that passed its deadline waits for the better error of what it interrupted.
	graceWork = time.Second
	// maxErrorText bounds an error's text, in bytes: Argo CD keeps it in the Application's status.
	maxErrorText = 8 << 10
)

// A service implements ConfigManagementPluginServiceServer. Each streaming call is three steps: transport (upload), staging
// (stage), work (a Generator, which knows neither).
type service struct {
	generator *Generator
	config    *cmpplugin.PluginConfig
	queue     *queue
	workDir   string
	limits    archive.Limits
	deadline  time.Duration
	grace     time.Duration // graceDrain
	keeper    CredentialKeeper
	askPass   string
	log       logrus.FieldLogger
	told      func(Call)
}

// CheckPluginConfiguration tells that applications name the plugin: with discovery every application of the Argo CD instance
// would send its repository here.
func (s *service) CheckPluginConfiguration(context.Context, *emptypb.Empty) (*apiclient.CheckPluginConfigurationResponse, error) {
	return &apiclient.CheckPluginConfigurationResponse{ProvideGitCreds: s.config.Spec.ProvideGitCreds}, nil
}

// MatchRepository answers as a stock argocd-cmp-server without discovery.
func (s *service) MatchRepository(stream apiclient.ConfigManagementPluginService_MatchRepositoryServer) error {
	if err := newUpload(stream).drain(); err != nil {
		return err
	}
	return stream.SendAndClose(&apiclient.RepositoryResponse{})
}

// GenerateManifest renders.
func (s *service) GenerateManifest(stream apiclient.ConfigManagementPluginService_GenerateManifestServer) error {
	result, err := handle(stream, s, job[Result]{Rendering, belowSource, true, s.generate})
	if err != nil {
		return err
	}
	return stream.SendAndClose(&apiclient.ManifestResponse{Manifests: result.Manifests})
}

// GetParametersAnnouncement fills the form in Argo CD's UI.
func (s *service) GetParametersAnnouncement(stream apiclient.ConfigManagementPluginService_GetParametersAnnouncementServer) error {
	response, err := handle(stream, s, job[*apiclient.ParametersAnnouncementResponse]{Announcing, sourceOnly, false, s.announce})
	if err != nil {
		return err
	}
	return stream.SendAndClose(response)
}

func (s *service) generate(ctx context.Context, dir Dir, env map[string]string) (Result, error) {
	req, err := ParseRequest(env)
	if err != nil {
		return Result{}, err
	}
	if err := s.borrow(ctx, req, env); err != nil {
		return Result{}, err
	}
	return s.generator.Generate(ctx, dir, req)
}

func (s *service) announce(_ context.Context, dir Dir, env map[string]string) (*apiclient.ParametersAnnouncementResponse, error) {
	all := append(s.generator.announcements(dir, env), s.config.Spec.Parameters.Static...)
	return &apiclient.ParametersAnnouncementResponse{ParameterAnnouncements: all}, nil
}

// A Job names what a call does, in errors and logs as well.
type Job string

// The jobs.
const (
	Rendering  Job = "rendering"
	Announcing Job = "announcing parameters"
)

// A job is what a call does with the files that it got.
type job[T any] struct {
	name Job
	// keep says which files of the repository it needs, given the application's directory; rest, whether it may need others.
	keep func(dir, name string) bool
	rest bool
	work func(ctx context.Context, dir Dir, env map[string]string) (T, error)
}

// belowSource keeps the application's directory.
func belowSource(dir, name string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}

// sourceOnly keeps what lies in the application's directory itself: enough to see what kind of source it is.
func sourceOnly(dir, name string) bool {
	rest, below := strings.CutPrefix(name, dir+"/")
	if dir == "." {
		rest, below = name, true
	}
	return below && !strings.Contains(rest, "/")
}

// handle runs a job until its deadline. A job that overruns it keeps its slot and directory until it really ends.
func handle[T any](in receiver, s *service, j job[T]) (T, error) {
	ctx, cancel := s.withDeadline(in.Context())
	defer cancel()
	type outcome struct {
		value T
		err   error
	}
	up := newUpload(in)
	done := make(chan outcome, 1)
	go func() {
		value, err := process(ctx, s, up, j)
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	grace := s.grace
	select {
	case <-up.received:
		grace = graceWork
	default:
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-time.After(grace):
	case <-in.Context().Done():
	}
	var none T
	return none, status.Errorf(codes.DeadlineExceeded, "%s did not finish within %s, the wait for a free slot included: if it is "+
		"rightly so slow, raise limits.render-timeout in tagpin.yaml", j.name, s.deadline)
}

// withDeadline is the caller's deadline or our own, whichever is sooner: Argo CD v2.14 sets none.
func (s *service) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(s.deadline)
	if callers, ok := ctx.Deadline(); ok && callers.Add(-beforeCaller).Before(deadline) {
		deadline = callers.Add(-beforeCaller)
	}
	return context.WithDeadline(ctx, deadline)
}

// process is one call from its first message to its result. Whatever fails, the stream is drained before the error is told.
func process[T any](ctx context.Context, s *service, up *upload, j job[T]) (value T, err error) {
	call, begin := Call{Job: j.name}, time.Now()
	if err = up.begin(); err == nil {
		err = guard(func() (err error) {
			value, err = stage(ctx, s, staging{up, &call}, j)
			return err
		})
	}
	if drained := up.drain(); err == nil {
		err = drained
	}
	if err != nil {
		call.Err = status.Error(codes.Unknown, clip(err.Error()))
	}
	call.Late = err != nil && ctx.Err() != nil
	call.Bytes, call.Took = up.bytes, time.Since(begin)
	s.report(call, up.env())
	return value, call.Err
}

// A Call is one that was answered, as the log and Options.Told hear of it.
type Call struct {
	Job Job
	// Queued is the wait for a slot, Staged the time in which the archive was received and unpacked, Worked that of the work
	// itself, Took all together. What a call did not come to is zero.
	Queued, Staged, Worked, Took time.Duration
	// Bytes are those of the archive as it was sent.
	Bytes int64
	// Err is what Argo CD was told. Late says that the call's deadline had passed.
	Err  error
	Late bool
}

// report makes a call's log line of its record.
func (s *service) report(c Call, env map[string]string) {
	if s.told != nil {
		s.told(c)
	}
	log := s.log.WithFields(logrus.Fields{"application": env[envAppName], "repository": withoutUser(env[envSourceRepoURL]), "path": env[envSourcePath],
		"revision": env[envAppRevision], "took": c.Took.Round(time.Millisecond).String()})
	if c.Err != nil {
		log.Errorf("%s: %s", c.Job, status.Convert(c.Err).Message())
		return
	}
	log.Infof("%s: done", c.Job)
}

// withoutUser takes out of a URL what may be a password.
func withoutUser(repoURL string) string {
	if !strings.Contains(repoURL, "://") {
		return repoURL // host:path, which has no place for one
	}
	u, err := url.Parse(repoURL)
	if err != nil {
		return "(not a URL)"
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}

// staging is what a call brings, and the record of what became of it.
type staging struct {
	*upload
	call *Call
}

// stage waits for a slot, unpacks the archive into a directory of its own and works on it.
func stage[T any](ctx context.Context, s *service, up staging, j job[T]) (value T, err error) {
	begin := time.Now()
	release, err := s.queue.acquire(ctx, up.env()[envSourceRepoURL])
	up.call.Queued = lap(&begin)
	if err != nil {
		return value, fmt.Errorf("no slot became free within %s: the operator can raise limits.concurrent-renders in tagpin.yaml: %w",
			s.deadline, err)
	}
	defer release()
	root, err := os.MkdirTemp(s.workDir, "")
	if err != nil {
		return value, fmt.Errorf("making a work directory: %w", err)
	}
	defer s.remove(root)
	dir, err := sourceDir(root, up.metadata.GetAppRelPath())
	if err != nil {
		return value, err
	}
	rest, err := s.unpack(ctx, up.upload, dir, unpacking{j.keep, j.rest})
	up.call.Staged = lap(&begin)
	if err != nil {
		return value, err
	}
	defer rest.Close()
	value, err = j.work(ctx, dir, up.env())
	if err != nil && ctx.Err() == nil && rest.Len() > 0 {
		// An error proves nothing while files are missing.
		if _, err := rest.Unpack("."); err != nil {
			return value, hidePath(err, root)
		}
		value, err = j.work(ctx, dir, up.env())
	}
	up.call.Worked = lap(&begin)
	if err != nil {
		return value, hidePath(err, root)
	}
	return value, nil
}

// lap gives the time since from, and begins anew.
func lap(from *time.Time) time.Duration {
	now := time.Now()
	d := now.Sub(*from)
	*from = now
	return d
}

func (s *service) remove(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		s.log.Errorf("removing a work directory: %v", err)
	}
}

// hidePath takes the work directory out of an error: it differs from render to render, and Argo CD would take each for news.
func hidePath(err error, root string) error {
	text := err.Error()
	if !strings.Contains(text, root) {
		return err
	}
	return &plainError{strings.NewReplacer(root+"/", "", root, ".").Replace(text), err}
}

// A plainError says something else than what it wraps.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

func clip(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "…"
}
