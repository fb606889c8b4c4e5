// Package aliyun asks Alibaba Cloud's OpenAPI the four questions that tagpin has: a temporary login of an Enterprise
// instance, the id of a repository, its tags, and the keys of a role. Call New, then one of the methods of Client.
//
// It is small on purpose. The SDKs bring dozens of modules, take no context, choose endpoints by themselves, and look for
// credentials in places that nobody asked them to (docs/acr.md says more). Here nothing is read from the environment,
// every question has a deadline and a bounded answer, and a credential goes to the host that the caller names.
package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"
)

const (
	maxAnswer   = 4 << 20 // a page of 100 tags has some 50 KB
	maxAttempts = 3
	pause       = 250 * time.Millisecond
	// perSecond stays below the 15 requests that Harbor allows itself; Alibaba Cloud publishes no number.
	perSecond = 10
)

// Options configure a Client.
type Options struct {
	// Transport carries the requests; it follows no redirect. Nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Now replaces time.Now in tests.
	Now func() time.Time
}

// A Client is safe for concurrent use. It repeats what fails for a passing reason, each time with a new signature.
type Client struct {
	transport http.RoundTripper
	now       func() time.Time
	limit     *rate.Limiter
}

// New returns a client without credentials: each question brings its own.
func New(o Options) *Client {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{o.Transport, o.Now, rate.NewLimiter(perSecond, perSecond)}
}

// Keys are an AccessKey pair, with the token where they are temporary ones (STS).
type Keys struct {
	ID, Secret, Token string
	// Expires is by this machine's clock; zero: never.
	Expires time.Time
}

// String keeps the secret out of logs.
func (k Keys) String() string { return "AccessKey " + k.ID }

// GoString is String: %#v shows no secret either.
func (k Keys) GoString() string { return k.String() }

// A question is one call of an action.
type question struct {
	host            string
	action, version string
	query           url.Values
	form            url.Values // in the body: for what no log of URLs should hold
	keys            *Keys      // nil: the action takes no signature
}

// ask decodes the answer into to, and returns how far the server's clock is ahead of this machine's.
func (c *Client) ask(ctx context.Context, q question, to any) (ahead time.Duration, err error) {
	for attempt := 1; ; attempt++ {
		ahead, err = c.once(ctx, q, to)
		if err == nil || attempt == maxAttempts || !passing(ctx, err) || !sleep(ctx, attempt) {
			return ahead, err
		}
	}
}

func passing(ctx context.Context, err error) bool {
	var answer *Error
	if errors.As(err, &answer) {
		return answer.Retryable
	}
	return ctx.Err() == nil
}

func sleep(ctx context.Context, attempt int) bool {
	d := (pause/2 + rand.N(pause)) << (attempt - 1) //nolint:gosec // spreads load, guards nothing
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
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

func (c *Client) once(ctx context.Context, q question, to any) (time.Duration, error) {
	if err := c.limit.Wait(ctx); err != nil {
		return 0, fmt.Errorf("waiting to ask %s: %w", q.action, context.DeadlineExceeded)
	}
	req, err := q.request(ctx, c.now())
	if err != nil {
		return 0, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return 0, fmt.Errorf("asking %s: %w", q.action, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, fmt.Errorf("asking %s: %w", q.action, err)
	}
	return c.skew(resp), read(q.action, resp.StatusCode, body, to)
}

// skew compares the clocks by the answer's Date. Without one they are taken to agree.
func (c *Client) skew(resp *http.Response) time.Duration {
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return at.Sub(c.now())
}

// read tells an answer from a refusal. ACR says IsSuccess: false on HTTP 200, too.
func read(action string, status int, body []byte, to any) error {
	var head struct {
		Code      string
		IsSuccess *bool
	}
	err := json.Unmarshal(body, &head)
	switch {
	case len(body) > maxAnswer:
		return unreadable(action, status)
	case status != http.StatusOK, err == nil && head.IsSuccess != nil && !*head.IsSuccess:
		return refusal(action, status, head.Code)
	case err != nil || json.Unmarshal(body, to) != nil:
		return unreadable(action, status)
	}
	return nil
}

// A number is written as a JSON number or as a string, as ACR pleases. Absent and empty are zero.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	var s json.Number
	if string(b) == `""` || string(b) == "null" {
		*n = 0
		return nil
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("not a number")
	}
	i, err := s.Int64()
	if err != nil || i < 0 {
		return errors.New("not a number")
	}
	*n = number(i)
	return nil
}

// time reads milliseconds since 1970; zero is no time.
func (n number) time() time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n)).UTC()
}
