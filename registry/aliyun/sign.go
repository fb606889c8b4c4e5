package aliyun

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// algorithm is Alibaba Cloud's signature of version 3 (help.aliyun.com, "V3 request structure and signature"). Of the two
// that ACR's gateway takes it is the one that keeps the security token out of the URL and does without SHA-1.
const algorithm = "ACS3-HMAC-SHA256"

const timeLayout = "2006-01-02T15:04:05Z"

// request builds a question's request; a signature serves once.
func (q question) request(ctx context.Context, now time.Time) (*http.Request, error) {
	return q.signed(ctx, now, rand.Text())
}

func (q question) signed(ctx context.Context, now time.Time, nonce string) (*http.Request, error) {
	body := q.form.Encode()
	u := url.URL{Scheme: "https", Host: q.host, Path: "/", RawQuery: canonicalQuery(q.query)}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(body))
	h := req.Header
	h.Set("Accept", "application/json")
	h.Set("User-Agent", "tagpin")
	h.Set("X-Acs-Action", q.action)
	h.Set("X-Acs-Version", q.version)
	h.Set("X-Acs-Date", now.UTC().Format(timeLayout))
	h.Set("X-Acs-Signature-Nonce", nonce)
	h.Set("X-Acs-Content-Sha256", hex.EncodeToString(sum[:]))
	if q.form != nil {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if q.keys != nil {
		if q.keys.Token != "" {
			h.Set("X-Acs-Security-Token", q.keys.Token)
		}
		h.Set("Authorization", authorization(req, *q.keys))
	}
	return req, nil
}

// authorization signs the host, the content type and all x-acs- headers.
func authorization(req *http.Request, keys Keys) string {
	values := map[string]string{"host": req.URL.Host}
	for name := range req.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-acs-") || lower == "content-type" {
			values[lower] = strings.TrimSpace(req.Header.Get(name))
		}
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	signed := strings.Join(names, ";")
	var b strings.Builder
	b.WriteString(req.Method + "\n/\n" + req.URL.RawQuery + "\n")
	for _, name := range names {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	b.WriteString("\n" + signed + "\n" + values["x-acs-content-sha256"])
	sum := sha256.Sum256([]byte(b.String()))
	mac := hmac.New(sha256.New, []byte(keys.Secret))
	mac.Write([]byte(algorithm + "\n" + hex.EncodeToString(sum[:])))
	return algorithm + " Credential=" + keys.ID + ",SignedHeaders=" + signed + ",Signature=" + hex.EncodeToString(mac.Sum(nil))
}

// canonicalQuery is sorted and escaped as RFC 3986 says: a space is %20.
func canonicalQuery(v url.Values) string {
	return strings.ReplaceAll(v.Encode(), "+", "%20")
}
