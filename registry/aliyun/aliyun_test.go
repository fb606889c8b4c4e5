package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// The example of Alibaba Cloud's page on the signature of version 3.
func TestSignatureOfTheDocumentation(t *testing.T) {
	q := question{
		host: "ecs.cn-shanghai.aliyuncs.com", action: "RunInstances", version: "2014-05-26",
		query: url.Values{"ImageId": {"win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}, "RegionId": {"cn-shanghai"}},
		keys:  &Keys{ID: "YourAccessKeyId", Secret: "YourAccessKeySecret"},
	}
	req, err := q.signed(t.Context(), time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC), "3156853299f313e23d1673dc12e1703d")
	if err != nil {
		t.Fatal(err)
	}
	const want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type answers func(*http.Request) (int, string)

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body := a(req)
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

func client(a answers) *Client { return New(Options{Transport: a}) }

var (
	shop = Instance{Host: "cr.cn-hangzhou.aliyuncs.com", ID: "cri-kmsiwlxxdcva"}
	keys = Keys{ID: "LTAI", Secret: "Canary"}
)

// sample is a part of the collected payloads.
func sample(t *testing.T, path ...string) json.RawMessage {
	t.Helper()
	data, err := os.ReadFile("../../test/testdata/acr/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	part := json.RawMessage(data)
	for _, key := range path {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(part, &m); err != nil || m[key] == nil {
			t.Fatalf("no %v: %v", path, err)
		}
		part = m[key]
	}
	return part
}

func TestDocumentedAnswers(t *testing.T) {
	login, err := client(func(*http.Request) (int, string) {
		return 200, string(sample(t, "openapi", "GetAuthorizationToken_2018_12_01", "response"))
	}).Login(t.Context(), shop, keys)
	if err != nil || login.User != "temp_user_cr" || login.Password != "<redacted>" || login.Expires.UnixMilli() != 1571242083000 {
		t.Errorf("%+v, %v", login, err)
	}
	tags, err := client(func(*http.Request) (int, string) {
		return 200, string(sample(t, "openapi", "ListRepoTag_2018_12_01", "response"))
	}).Tags(t.Context(), shop, keys, "crr-tquyps22md8p")
	want := Tag{"v0.1", "sha256:67bfbcc12b67936ec7f867927817cbb071832b873dbcaed312a1930ba5f1****", time.UnixMilli(1572875608000).UTC()}
	if err != nil || len(tags) != 1 || tags[0] != want {
		t.Errorf("%+v, %v", tags, err)
	}
	// GetRepoTag writes the same times as numbers.
	var one struct{ ImageUpdate number }
	if err := json.Unmarshal(sample(t, "openapi", "GetRepoTag_2018_12_01", "response"), &one); err != nil || one.ImageUpdate != 1572875608000 {
		t.Errorf("%+v, %v", one, err)
	}
}

// The API of the older personal edition is another one: its answers are none here, and above all no empty list.
func TestAnswersOfAnotherAPI(t *testing.T) {
	for _, name := range []string{"GetAuthorizationToken_2016_06_07", "GetRepoTags_2016_06_07"} {
		c := client(func(*http.Request) (int, string) { return 200, string(sample(t, "openapi", name, "response")) })
		if l, err := c.Login(t.Context(), shop, keys); err == nil || !strings.Contains(err.Error(), "cannot be understood") {
			t.Errorf("%s: %v, %v", name, l, err)
		}
		if tags, err := c.Tags(t.Context(), shop, keys, "crr-1"); err == nil || !strings.Contains(err.Error(), "cannot be understood") {
			t.Errorf("%s: %v, %v", name, tags, err)
		}
	}
	var refusals []struct{ Body json.RawMessage }
	if err := json.Unmarshal(sample(t, "openapi", "GetAuthorizationToken_2016_06_07", "errors"), &refusals); err != nil || len(refusals) == 0 {
		t.Fatal(err)
	}
	for _, r := range refusals {
		_, err := client(func(*http.Request) (int, string) { return 404, string(r.Body) }).Login(t.Context(), shop, keys)
		if err == nil || !strings.Contains(err.Error(), "sign in to its console once") {
			t.Errorf("%s: %v", r.Body, err)
		}
	}
}

func TestDocumentedErrors(t *testing.T) {
	var list []struct {
		Status        int
		Code, Message string
	}
	if err := json.Unmarshal(sample(t, "openapi", "GetAuthorizationToken_2018_12_01", "errors"), &list); err != nil {
		t.Fatal(err)
	}
	var throttling []struct {
		Response struct {
			Status int
			Body   struct{ Code, Message string }
		}
	}
	if err := json.Unmarshal(sample(t, "throttling"), &throttling); err != nil {
		t.Fatal(err)
	}
	for _, x := range throttling {
		list = append(list, struct {
			Status        int
			Code, Message string
		}{x.Response.Status, x.Response.Body.Code, "Canary"})
	}
	says := map[string]string{"NoPrivilege": "grant it cr:GetAuthorizationToken", "SystemError": "is failing", "Throttling.User": "limits this account", "": "limits requests"}
	for _, x := range list {
		body, _ := json.Marshal(x)
		_, err := client(func(*http.Request) (int, string) { return x.Status, string(body) }).Login(t.Context(), shop, keys)
		var e *Error
		if !errors.As(err, &e) || e.Code != x.Code || e.Status != x.Status || !strings.Contains(e.Problem, says[x.Code]) {
			t.Errorf("%+v: %v", x, err)
			continue
		}
		if e.Retryable != (x.Code != "NoPrivilege") || strings.Contains(err.Error(), "Canary") || strings.Contains(err.Error(), x.Message) && x.Message != "" {
			t.Errorf("%+v: %v %t", x, err, e.Retryable)
		}
	}
}

func TestWhatCodesMean(t *testing.T) {
	for _, c := range []struct{ action, code, says string }{
		{"ListRepoTag", "NoPermission", "grant it cr:ListRepositoryTag"},
		{"AssumeRoleWithOIDC", "NoPermission", "trust policy"},
		{"AssumeRoleWithOIDC", "AuthenticationFail.NoPermission", "trust policy"},
		{"AssumeRoleWithOIDC", "AuthenticationFail.OIDCToken.Expired", "has expired"},
		{"AssumeRoleWithOIDC", "AuthenticationFail.OIDCToken.Invalid", "issuer, fingerprint"},
		{"AssumeRoleWithOIDC", "EntityNotExist.Role", "ALIBABA_CLOUD_ROLE_ARN"},
		{"AssumeRoleWithOIDC", "EntityNotExist.OIDCProvider", "OIDC_PROVIDER_ARN"},
		{"GetRepository", "Forbidden.RAM", "cr:GetRepository"},
		{"GetRepository", "REPO_NOT_EXIST", "no such repository"},
		{"GetRepository", "RepoNotExist", "no such repository"},
		{"GetRepository", "InvalidTimeStamp.Expired", "clock"},
		{"GetRepository", "SignatureDoesNotMatch", "secret is wrong"},
		{"GetRepository", "InvalidAccessKeyId.NotFound", "no such AccessKey"},
		{"GetRepository", "InvalidSecurityToken.Expired", "temporary keys are expired"},
		{"GetRepository", "USER_NOT_EXIST", "sign in to its console once"},
		{"GetRepository", "Throttling", "asked again later"},
	} {
		if e := refusal(c.action, 400, c.code); !strings.Contains(e.Error(), c.says) || e.Code != c.code {
			t.Errorf("%s %s: %v", c.action, c.code, e)
		}
	}
	for _, code := range []string{"Canary", "NoPrivilege <b>Canary</b>", "NoPrivilege" + strings.Repeat("x", 60), "", "noprivilege\n"} {
		if e := refusal("GetRepository", 403, code); e.Code != "" || strings.Contains(e.Error(), "Canary") {
			t.Errorf("%q: %v", code, e)
		}
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for _, body := range []string{
		"", "<html>Canary", "null", "[]", "{}", `{"IsSuccess":true,"TempUsername":"u"}`, `{"ExpireTime":"x"}`, `{"ExpireTime":-1}`,
		`{"TempUsername":"u","AuthorizationToken":"Canary","ExpireTime":""}`, strings.Repeat(" ", maxAnswer+1),
	} {
		_, err := client(func(*http.Request) (int, string) { return 200, body }).Login(t.Context(), shop, keys)
		var e *Error
		if !errors.As(err, &e) || e.Retryable || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%.40q: %v", body, err)
		}
	}
}

func TestABrokenConnectionIsTriedAgain(t *testing.T) {
	n := 0
	nonces := map[string]bool{}
	c := client(func(req *http.Request) (int, string) {
		n++
		nonces[req.Header.Get("X-Acs-Signature-Nonce")] = true
		if n < 3 {
			return 0, ""
		}
		return 200, `{"RepoId":"crr-1"}`
	})
	if id, err := c.RepositoryID(t.Context(), shop, keys, "ns/deep/app"); err != nil || id != "crr-1" || len(nonces) != 3 {
		t.Errorf("%s, %v, %d nonces", id, err, len(nonces))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.RepositoryID(ctx, shop, keys, "ns/app"); err == nil {
		t.Error("asked after the end")
	}
}

func TestNoEndlessList(t *testing.T) {
	page := 0
	body := func() string {
		page++
		var images []string
		for i := range pageSize {
			images = append(images, fmt.Sprintf(`{"Tag":"t%d-%d"}`, page, i))
		}
		return `{"TotalCount":"999999999","Images":[` + strings.Join(images, ",") + `]}`
	}
	c := client(func(*http.Request) (int, string) { return 200, body() })
	c.limit.SetLimit(1e9)
	if _, err := c.Tags(t.Context(), shop, keys, "crr-1"); err == nil || page != maxPages {
		t.Errorf("%v after %d pages", err, page)
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	k := Keys{ID: "LTAI", Secret: "Canary", Token: "Canary"}
	l := Login{User: "u", Password: "Canary"}
	if s := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", k, k, k, k, l, l, l); strings.Contains(s, "Canary") {
		t.Error(s)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"IsSuccess":false,"Code":"NoPrivilege"}`, `{"TotalCount":"1","Images":[{"Tag":"v","ImageUpdate":"157"}]}`, `{"TotalCount":1e3}`} {
		f.Add(200, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var page tagPage
		if err := read("ListRepoTag", status, body, &page); err == nil && (status != 200 || page.TotalCount != nil && *page.TotalCount < 0) {
			t.Errorf("%d %s: %+v", status, body, page)
		} else if err != nil && strings.ContainsAny(err.Error(), "<\n") {
			t.Errorf("%q", err)
		}
	})
}
