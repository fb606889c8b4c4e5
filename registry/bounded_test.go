package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What the limit delays, and what it leaves no turn, is told.
func TestBoundedTellsOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []Attempt
		b := &bounded{
			next: roundTripper(func(req *http.Request) (*http.Response, error) {
				time.Sleep(100 * time.Millisecond)
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: req}, nil
			}),
			host: "registry.example.com", quota: newQuota(1), told: func(a Attempt) { told = append(told, a) },
		}
		ask := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://registry.example.com/v2/team/app/tags/list", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := b.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		for range maxInFlight { // the burst
			if err := ask(time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		b.rate.SetBurst(1)
		if err := ask(time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := ask(time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := ask(10 * time.Millisecond); !errors.Is(err, errBusy) {
			t.Errorf("a turn within 10 ms: %v", err)
		}
		first, last, none := told[0], told[len(told)-2], told[len(told)-1]
		if first.Waited != 0 || first.Took != 100*time.Millisecond || first.Kind != KindTags || first.Status != http.StatusOK {
			t.Errorf("the first: %+v", first)
		}
		if last.Waited < 800*time.Millisecond || last.Waited > time.Second || !last.Sent {
			t.Errorf("the last one that was sent: %+v", last)
		}
		if none.Sent || none.Status != 0 || none.Took != 0 {
			t.Errorf("the one without a turn: %+v", none)
		}
	})
}
