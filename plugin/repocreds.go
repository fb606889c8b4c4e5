package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/argoproj/argo-cd/v2/util/askpass"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tagpin/tagpin/image"
)

const (
	// repoCredsSuffix makes the second plugin name, for applications that write back with Argo CD's own credentials. It is a
	// name of its own because a failing look-up of credentials fails every render of a plugin that asks for them.
	repoCredsSuffix = "-repocreds" //nolint:gosec // a name
	// methodRepoCreds is the write-back-method that needs them.
	methodRepoCreds = "git:repocreds" //nolint:gosec // a name
	// borrowTimeout keeps a render from waiting for credentials; they are for the update loop, and the next render brings them.
	borrowTimeout = 2 * time.Second
)

// A CredentialKeeper keeps the credentials that Argo CD lends during a render, in memory, for this application and its
// repository alone.
type CredentialKeeper interface {
	// Keep takes a user and a password, or the reason why there are none that can be used.
	Keep(app image.Application, username, password string, problem error)
}

// borrow gets Argo CD's credentials for the application's repository, where the application writes back with them. The nonce
// that stands for them dies with the render. Nothing that goes wrong here fails the render: the application's status tells.
func (s *service) borrow(ctx context.Context, req Request, env map[string]string) error {
	options, err := s.generator.options(req)
	if err != nil || options.WriteBack.Method != methodRepoCreds {
		return nil //nolint:nilerr // the render says what is wrong with the parameters
	}
	if !s.config.Spec.ProvideGitCreds {
		return fmt.Errorf("application %s: write-back-method git takes Argo CD's own credentials, which only the plugin %s%s is given: "+
			"set spec.source.plugin.name to that, or write-back-method to git:secret:<namespace>/<name>", req.App.Name, s.config.Metadata.Name, repoCredsSuffix)
	}
	if s.keeper == nil || req.Streamed() {
		return nil
	}
	username, password, problem := s.lent(ctx, env)
	s.keeper.Keep(req.App, username, password, problem)
	return nil
}

var (
	errLentSSH = errors.New("Argo CD's credentials for this repository are an SSH key or a TLS certificate, which it can't lend to a " + //nolint:staticcheck // a name begins it
		"sidecar: use write-back-method git:secret:<namespace>/<name>")
	errLentNothing = errors.New("Argo CD has no user and password for this repository: add them to its repository Secret, or use " + //nolint:staticcheck // a name begins it
		"write-back-method git:secret:<namespace>/<name>")
	errLentShort = errors.New("Argo CD's credentials for this repository are a GitHub App's token, which ends within the hour: use " + //nolint:staticcheck // a name begins it
		"write-back-method git:secret:<namespace>/<name> with a GitHub App's key")
	errAskPass = errors.New("the repo-server's askpass socket can't be asked for Argo CD's credentials: set ARGOCD_ASK_PASS_SOCK of both " +
		"containers to a path on a volume that they share")
)

// lent asks the repo-server's askpass socket (argo-cd util/askpass). The socket is the one that the operator names: a path in
// the request would let its sender choose whom to ask.
func (s *service) lent(ctx context.Context, env map[string]string) (username, password string, problem error) {
	nonce := env[askpass.ASKPASS_NONCE_ENV]
	switch {
	case nonce == "" && (env["GIT_SSH_COMMAND"] != "" || env["GIT_SSL_CERT"] != ""):
		return "", "", errLentSSH
	case nonce == "":
		return "", "", errLentNothing
	}
	ctx, cancel := context.WithTimeout(ctx, borrowTimeout)
	defer cancel()
	conn, err := grpc.NewClient("unix:"+s.askPass, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", "", errAskPass
	}
	defer conn.Close()
	answer, err := askpass.NewAskPassServiceClient(conn).GetCredentials(ctx, &askpass.CredentialsRequest{Nonce: nonce})
	switch {
	case err != nil:
		return "", "", errAskPass
	case answer.Password == "":
		return "", "", errLentNothing
	case answer.Username == "x-access-token" && strings.HasPrefix(answer.Password, "ghs_"):
		return "", "", errLentShort
	}
	return answer.Username, answer.Password, nil
}
