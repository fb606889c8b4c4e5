package acr_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tagpin/tagpin/registry/aliyun"
	"github.com/tagpin/tagpin/test/acr"
)

// The example of the vendor's page must not pass: its key is unknown and its time is long gone. That the fake checks signatures at
// all shows where a key's secret is another one.
func TestAPIRefusesWhatTheGatewayRefuses(t *testing.T) {
	at := time.Now()
	api := acr.StartAPI(t, func() time.Time { return at })
	net := acr.NewNetwork()
	net.AddAPI(api, "cr.cn-shanghai.aliyuncs.com")
	api.AddInstance("cri-1", nil)
	api.AddKey(acr.Key{ID: "LTAI", Secret: "right"})
	instance := aliyun.Instance{Host: "cr.cn-shanghai.aliyuncs.com", ID: "cri-1"}
	for _, c := range []struct {
		keys aliyun.Keys
		late time.Duration
		says string
	}{
		{aliyun.Keys{ID: "LTAI", Secret: "right"}, 0, ""},
		{aliyun.Keys{ID: "LTAI", Secret: "wrong"}, 0, "SignatureDoesNotMatch"},
		{aliyun.Keys{ID: "other", Secret: "right"}, 0, "InvalidAccessKeyId.NotFound"},
		{aliyun.Keys{ID: "LTAI", Secret: "right", Token: "t"}, 0, "InvalidSecurityToken"},
		{aliyun.Keys{ID: "LTAI", Secret: "right"}, 16 * time.Minute, "InvalidTimeStamp.Expired"},
	} {
		client := aliyun.New(aliyun.Options{Transport: net.Wrap(nil), Now: func() time.Time { return at.Add(-c.late) }})
		login, err := client.Login(t.Context(), instance, c.keys)
		if err == nil && (c.says != "" || login.User != "cr_temp_user" || !login.Expires.After(at)) || err != nil && (c.says == "" || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %+v, %v", c, login, err)
		}
	}
	if n := api.Count("GetAuthorizationToken"); n != 5 {
		t.Errorf("%d calls", n)
	}
}

func TestTemporaryLoginsAreForOneInstance(t *testing.T) {
	one := acr.Start(t, acr.Options{})
	two := acr.Start(t, acr.Options{})
	api := acr.StartAPI(t, nil)
	api.AddInstance("cri-1", one)
	api.AddKey(acr.Key{ID: "LTAI", Secret: "right"})
	net := acr.NewNetwork()
	net.AddAPI(api, "cr.cn-shanghai.aliyuncs.com")
	client := aliyun.New(aliyun.Options{Transport: net.Wrap(nil)})
	login, err := client.Login(t.Context(), aliyun.Instance{Host: "cr.cn-shanghai.aliyuncs.com", ID: "cri-1"}, aliyun.Keys{ID: "LTAI", Secret: "right"})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(s *acr.Server, scope string) int {
		resp, err := http.Get(s.URL() + "/v2/team/app/tags/list")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		_, rest, _ := strings.Cut(resp.Header.Get("Www-Authenticate"), `realm="`)
		realm, _, _ := strings.Cut(rest, `"`)
		req, err := http.NewRequest(http.MethodGet, realm+"?scope="+url.QueryEscape(scope), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(login.User, login.Password)
		if resp, err = http.DefaultClient.Do(req); err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	const scope = "repository:team/app:pull"
	if got := []int{ask(one, scope), ask(two, scope), ask(one, "")}; got[0] != 200 || got[1] != 401 || got[2] != 400 {
		t.Errorf("its own, another, an empty scope: %v", got)
	}
	if one.Revoke(); ask(one, scope) != 401 {
		t.Error("a revoked login is good")
	}
}
