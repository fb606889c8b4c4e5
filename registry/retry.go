package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/tagpin/tagpin/network"
)

// Retries stay small: a render waits. They are the only layer that retries; go-containerregistry's is switched off.
const (
	maxAttempts   = 4
	firstBackoff  = 250 * time.Millisecond
	maxRetryAfter = 30 * time.Second // longer waits are reported instead
)

// retrier repeats a question that failed for a passing reason, after the time that the registry asks for or a random one,
// as long as the caller's deadline leaves room.
type retrier struct{ next http.RoundTripper }

func (r *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		resp, err := r.next.RoundTrip(req)
		if attempt == maxAttempts || !passing(req, resp, err) {
			return resp, err
		}
		if !sleep(req.Context(), backoff(resp, attempt)) {
			return resp, err
		}
	}
}

// passing says whether asking again may help.
func passing(req *http.Request, resp *http.Response, err error) bool {
	if req.Method != http.MethodGet && req.Method != http.MethodHead || req.Context().Err() != nil {
		return false
	}
	if err == nil {
		return passingStatus(resp.StatusCode)
	}
	var (
		dns     *net.DNSError
		blocked *network.BlockedError
		scheme  *schemeError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		realm   *realmError
		other   *instanceError
		proxied *proxyError
	)
	switch {
	case errors.As(err, &proxied):
		_, retryable := proxied.problem()
		return retryable
	case errors.As(err, &dns):
		return dns.IsTemporary || dns.IsTimeout
	case errors.As(err, &blocked), errors.As(err, &scheme), errors.As(err, &cert), errors.As(err, &record), errors.As(err, &realm), errors.As(err, &other),
		errors.Is(err, errBusy), errors.Is(err, errTooLarge), errors.Is(err, context.Canceled):
		return false
	}
	return true // refused, reset, timed out, cut off
}

func passingStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// backoff is the Retry-After of the answer plus some jitter, or a random time that doubles with each attempt.
func backoff(resp *http.Response, attempt int) time.Duration {
	jitter := firstBackoff/2 + rand.N(firstBackoff) //nolint:gosec // spreads load, guards nothing
	if resp != nil {
		if after, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return after + jitter/2
		}
	}
	return jitter << (attempt - 1)
}

// retryAfter reads both forms of the header: seconds and an HTTP date (RFC 9110, 10.2.3).
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(min(n, int(maxRetryAfter/time.Second)+1)) * time.Second, true
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter+time.Second), true
	}
	return 0, false
}

// sleep returns false at once when the wait is too long for the deadline, and when ctx ends meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); d > maxRetryAfter+firstBackoff || ok && time.Until(end) < d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
