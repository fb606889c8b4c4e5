package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/network"
)

// An Error says why a registry gave no answer that counts, and what to change. It is shown to everyone who can see the
// application: it never repeats what a remote answered, nor a URL with its query, nor a credential.
type Error struct {
	// Registry and Repository are as the image names them; Tag is empty where the question was no tag's.
	Registry, Repository, Tag string
	// Status is the HTTP status, or zero when there was no answer.
	Status int
	// Code is the OCI error code of the answer if it is a known one ("NAME_UNKNOWN"), else empty.
	Code string
	// Retryable is true where the same question may be answered later without anybody changing anything.
	Retryable bool
	// Problem says what is wrong and what to change.
	Problem string

	cause error // an error of our own, or the end of a context; never what a remote or a library said
}

// Error says what is wrong and what to change. It doesn't name the image: who asked does.
func (e *Error) Error() string {
	switch {
	case e.Status == 0:
		return e.Problem
	case e.Code != "":
		return fmt.Sprintf("%s (HTTP %d %s)", e.Problem, e.Status, e.Code)
	}
	return fmt.Sprintf("%s (HTTP %d)", e.Problem, e.Status)
}

// Unwrap gives context.Canceled or context.DeadlineExceeded where that was the reason, and what kept a question from being
// asked, such as a *config.UnboundError.
func (e *Error) Unwrap() error { return e.cause }

// Passing says whether the same question may be answered later.
func (e *Error) Passing() bool { return e.Retryable }

// ServeStale says whether the last known answer may stand in for a failed one: an outage allows it; a refusal (401, 403)
// or "unknown" (404) never does, nor does an answer that makes no sense.
func ServeStale(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Retryable
}

// explain turns whatever go-containerregistry or the network gave into an *Error; what is one already, or a verdict on the
// tag, stays.
func (r *Repository) explain(err error, tag string) error {
	if err == nil {
		return nil
	}
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, image.ErrTagGone), errors.Is(err, image.ErrNotImage):
		return err
	}
	if e := r.explainAPI(err); e != nil {
		return e
	}
	e := &Error{Registry: r.host, Repository: r.path, Tag: tag}
	var answer *transport.Error
	if errors.As(err, &answer) {
		e.Status, e.Code = answer.StatusCode, knownCode(answer)
		e.Retryable = passingStatus(e.Status)
		e.Problem = r.aboutStatus(e) + r.acrHint(e)
		if e.Status == http.StatusNotFound && answer.Request != nil && answer.Request.URL.Path == "/v2/" {
			e.Problem = "there is no registry API on this host: check api_url in registries.conf"
		}
		return e
	}
	e.Problem, e.Retryable = r.aboutFailure(err)
	e.cause = endOf(err)
	return e
}

// endOf is the end of a context that made an error, or nil.
func endOf(err error) error {
	for _, c := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, c) {
			return c
		}
	}
	return nil
}

// knownCode is the first error code of the answer that the distribution specification defines. Others are not repeated.
func knownCode(e *transport.Error) string {
	for _, d := range e.Errors {
		switch d.Code {
		case transport.NameUnknownErrorCode, transport.NameInvalidErrorCode, transport.ManifestUnknownErrorCode,
			transport.UnauthorizedErrorCode, transport.DeniedErrorCode, transport.UnsupportedErrorCode,
			transport.TooManyRequestsErrorCode, transport.BlobUnknownErrorCode, transport.UnavailableErrorCode,
			transport.TagInvalidErrorCode, transport.ManifestInvalidErrorCode, transport.UnknownErrorCode, userNotExist:
			return string(d.Code)
		}
	}
	return ""
}

func (r *Repository) aboutStatus(e *Error) string {
	login := r.cred.Load()
	switch code := e.Status; {
	case code == http.StatusUnauthorized && login.anonymous():
		return "the registry asks for a login and no credential applies: " + r.loginMissing()
	case code == http.StatusUnauthorized:
		return fmt.Sprintf("the registry refused the credential %s: check user name and password, "+
			"and that this account may pull the repository", login)
	case code == http.StatusForbidden && login.anonymous():
		return "the registry denies access without a login: add credentials to its entry in registries.conf"
	case code == http.StatusForbidden:
		return fmt.Sprintf("the account of %s has no right to pull this repository: grant it, or use another credential",
			login)
	case code == http.StatusNotFound && e.Tag != "":
		return "the registry lists this tag but has no manifest or config for it: " +
			"push it again, or drop it with ignore-tags"
	case code == http.StatusNotFound:
		return "no such repository, or this account may not see it (ACR answers both alike): " +
			"check the name's spelling and the account's rights"
	case code == http.StatusTooManyRequests:
		return "the registry limits requests: lower limit in its entry of registries.conf, or narrow the tags by allow-tags"
	case code >= http.StatusInternalServerError || code == http.StatusRequestTimeout:
		return "the registry or its token server is failing; nothing here needs to change"
	case code >= http.StatusMultipleChoices && code < http.StatusBadRequest:
		return "the registry redirects: set api_url in registries.conf to where it redirects to"
	}
	return "the registry refused the request: check api_url in registries.conf"
}

// aboutFailure explains what kept an answer from coming, and says whether that may pass.
func (r *Repository) aboutFailure(err error) (problem string, retryable bool) {
	if p := r.aboutTrust(err); p != "" {
		return p, false
	}
	var (
		dns   *net.DNSError
		late  net.Error
		op    *net.OpError
		plain *schemeError
		proxy *proxyError
	)
	switch {
	case errors.As(err, &proxy):
		problem, retryable = proxy.problem()
		return problem + r.lookAlike(), retryable
	case errors.Is(err, errBusy):
		return "the request limit leaves no turn before the deadline: raise limit in registries.conf, " +
			"or narrow the tags by allow-tags", true
	case errors.Is(err, errTooLarge):
		return "the answer is larger than any list, manifest or config should be", false
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the registry's host name (or its token server's) does not exist in DNS: check its spelling and api_url" + r.lookAlike(), true
	case errors.As(err, &dns):
		return "DNS does not answer for the registry's host name", true
	case errors.Is(err, context.Canceled):
		return "the question was given up", true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &late) && late.Timeout():
		return "the registry did not answer in time", true
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused: nothing listens at the registry's address or its token server's", true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &op):
		return "the connection broke", true
	case errors.As(err, &plain): // last: go-containerregistry tries the other scheme, too, for local names
		return "plain http is only used with a host whose entry in registries.conf has an http:// api_url and insecure: true", false
	}
	return "the answer cannot be understood: check that api_url names a container registry", false
}

// aboutTrust explains a refusal of our own: certificates, addresses, schemes, realms.
func (r *Repository) aboutTrust(err error) string {
	var (
		blocked   *network.BlockedError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		cert      *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		realm     *realmError
		other     *instanceError
	)
	text := err.Error() // only searched: it is never shown
	switch {
	case errors.As(err, &blocked) && isProxy(blocked.Host):
		return fmt.Sprintf("the proxy of HTTPS_PROXY, %s, has %s address, which is only dialled where the operator names it: "+
			"add it in tagpin.yaml, network: {allow: [%s]}", blocked.Host, blocked.Kind, blocked.Host)
	case errors.As(err, &blocked):
		return blocked.Error() + ", which is only dialled for hosts that the operator names: " +
			"add an entry to registries.conf, or the host to network.allow in tagpin.yaml"
	case errors.As(err, &realm):
		return realm.Error()
	case errors.As(err, &other):
		return other.Error()
	case strings.Contains(text, "invalid realm in www-authenticate"), strings.Contains(text, "refusing token-server redirect"):
		return "the registry names a token server that is not followed: it must be https and no private address"
	case strings.Contains(text, "pagination URL"):
		return "the registry continues its tag list on another host, which is not followed"
	case strings.Contains(text, "SSRF protection"):
		return "the registry redirects to a private address, which is not followed"
	case errors.As(err, &authority):
		return "the TLS certificate is signed by an unknown authority: add ca_file or ca_data (or insecure: true) " +
			"to the registry's entry in registries.conf"
	case errors.As(err, &hostname):
		return "the TLS certificate is not for this host: check api_url, or have the certificate renewed"
	case errors.As(err, &invalid), errors.As(err, &cert):
		return "the TLS certificate is not valid (expired, or not for servers): have it renewed"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the registry does not speak TLS on this port: check api_url"
	}
	return ""
}
