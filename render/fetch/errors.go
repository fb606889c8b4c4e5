package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/tagpin/tagpin/network"
)

// A statusError is an answer without the file.
type statusError struct {
	status int
	login  bool // one was known
}

func (e *statusError) Error() string {
	switch {
	case e.status == http.StatusUnauthorized && !e.login:
		return "the server asks for a login (401): have the operator add a credential to the binding in tagpin.yaml"
	case e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		return fmt.Sprintf("the server refused access (%d): check the credential of the binding, that it may read this, and that the "+
			"binding's url covers where the file really is", e.status)
	case e.status == http.StatusNotFound:
		return "the server has no such file (404): check the URL"
	}
	return fmt.Sprintf("the server answered with status %d", e.status)
}

type tooLargeError struct{ limit int64 }

func (e *tooLargeError) Error() string { return fmt.Sprintf("it is larger than %d MiB", e.limit>>20) }

// A tooSlowError ends what takes longer than the operator grants. It is a deadline's.
type tooSlowError struct{ limit time.Duration }

func (e *tooSlowError) Error() string {
	return fmt.Sprintf("fetching did not finish within %s: if the server is rightly so slow, have the operator raise limits.fetch-timeout", e.limit)
}

func (e *tooSlowError) Is(target error) bool { return target == context.DeadlineExceeded }

// passing says whether the same question may be answered later. Then what was known stands in.
func passing(err error) bool {
	var (
		status  *statusError
		blocked *network.BlockedError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		git     interface{ Retryable() bool }
		oci     interface{ Passing() bool }
		down    *url.Error
		slow    *tooSlowError
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &status):
		return status.status >= 500 || status.status == http.StatusTooManyRequests || status.status == http.StatusRequestTimeout
	case errors.As(err, &git):
		return git.Retryable()
	case errors.As(err, &oci):
		return oci.Passing()
	case errors.As(err, &blocked), errors.As(err, &cert), errors.As(err, &record), errors.Is(err, errRedirect), errors.Is(err, errCA):
		return false
	}
	return errors.As(err, &down) || errors.As(err, &slow) || errors.Is(err, context.DeadlineExceeded)
}

// explain puts errors of the network into words of our own: theirs repeat the URL, which may hold a secret.
func explain(ctx context.Context, err error) error {
	var down *url.Error
	if !errors.As(err, &down) {
		if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
			return context.Cause(ctx)
		}
		return err
	}
	var (
		blocked *network.BlockedError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		dns     *net.DNSError
		late    net.Error
	)
	switch {
	case errors.Is(err, errRedirect), errors.Is(err, errCA):
		return down.Err
	case errors.As(err, &blocked):
		return fmt.Errorf("%w, which is only dialled for hosts that the operator names: have its host bound, or added to network.allow "+
			"in tagpin.yaml", blocked)
	case errors.As(err, &cert):
		return errors.New("the server's TLS certificate is not trusted: add its CA to argocd-tls-certs-cm, or have it renewed")
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("the server does not speak TLS there: check the URL")
	case errors.As(err, &dns):
		return errors.New("the server's name can't be resolved: check the URL")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("the connection was refused: nothing listens there")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return errors.New("the server did not answer in time")
	}
	return errors.New("the connection broke")
}
