package acr

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An API answers like Alibaba Cloud's OpenAPI for ACR's Enterprise edition and for STS: GetAuthorizationToken, GetRepository,
// ListRepoTag and AssumeRoleWithOIDC. It checks signatures, clocks and nonces.
type API struct {
	server *httptest.Server

	mu        sync.Mutex
	keys      map[string]Key
	roles     []Role
	instances map[string]*apiInstance
	faults    map[string]*APIFault
	counts    map[string]int
	nonces    map[string]bool
	clock     func() time.Time
	skew      time.Duration
	life      time.Duration
	onPage    func(page int)
}

// A Key is an AccessKey; Token is set for temporary ones.
type Key struct{ ID, Secret, Token string }

// A Role is given to who shows Token.
type Role struct{ ARN, Provider, Token string }

// A Record is a tag as ListRepoTag tells it.
type Record struct {
	Tag, Digest     string
	Created, Pushed time.Time
	Deleting        bool
}

type apiInstance struct {
	server *Server
	repos  map[string]*apiRepo
}

type apiRepo struct {
	id   string
	tags []Record
}

// An APIFault answers an action with a code.
type APIFault struct {
	Status int
	Code   string
	// Times is how many calls fail; zero: all.
	Times int
}

// StartAPI runs an API until the test ends, by the client's clock (nil: time.Now).
func StartAPI(tb testing.TB, clock func() time.Time) *API {
	a := NewAPI(clock)
	tb.Cleanup(a.Close)
	return a
}

// NewAPI runs an API. Close it.
func NewAPI(clock func() time.Time) *API {
	if clock == nil {
		clock = time.Now
	}
	a := &API{
		keys: map[string]Key{}, instances: map[string]*apiInstance{}, faults: map[string]*APIFault{}, counts: map[string]int{},
		nonces: map[string]bool{}, clock: clock, life: time.Hour,
	}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	return a
}

// Close ends it.
func (a *API) Close() { a.server.Close() }

// URL is its address on loopback.
func (a *API) URL() string { return a.server.URL }

// AddKey makes a key known.
func (a *API) AddKey(k Key) { a.locked(func() { a.keys[k.ID] = k }) }

// DropKeys forgets all keys.
func (a *API) DropKeys() { a.locked(func() { clear(a.keys) }) }

// AddRole makes a role known.
func (a *API) AddRole(r Role) { a.locked(func() { a.roles = append(a.roles, r) }) }

// AddInstance gives out temporary logins to a server; nil: to none.
func (a *API) AddInstance(id string, s *Server) {
	a.locked(func() { a.instances[id] = &apiInstance{s, map[string]*apiRepo{}} })
}

// SetTags makes a repository, or replaces its tags. Another id means that it was deleted and made anew.
func (a *API) SetTags(instance, repo, id string, tags ...Record) {
	a.locked(func() { a.instances[instance].repos[repo] = &apiRepo{id, tags} })
}

// AddTag tells of one tag more, or of a tag that was pushed again, and makes the repository where there is none.
func (a *API) AddTag(instance, repo string, r Record) {
	a.locked(func() {
		repos := a.instances[instance].repos
		if repos[repo] == nil {
			repos[repo] = &apiRepo{id: fmt.Sprintf("crr-%d", len(repos)+1)}
		}
		repos[repo].tags = append(slices.DeleteFunc(repos[repo].tags, func(o Record) bool { return o.Tag == r.Tag }), r)
	})
}

// SetSkew puts the clock ahead of the client's.
func (a *API) SetSkew(d time.Duration) { a.locked(func() { a.skew = d }) }

// SetLife is how long what it gives out lasts.
func (a *API) SetLife(d time.Duration) { a.locked(func() { a.life = d }) }

// OnPage sets what is called before each page of tags is given.
func (a *API) OnPage(f func(page int)) { a.locked(func() { a.onPage = f }) }

// Fail makes an action fail; a nil fault heals it.
func (a *API) Fail(action string, f *APIFault) { a.locked(func() { a.faults[action] = f }) }

// Count is how often an action was asked.
func (a *API) Count(action string) (n int) {
	a.locked(func() { n = a.counts[action] })
	return n
}

func (a *API) locked(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	action := r.Header.Get("X-Acs-Action")
	body, _ := io.ReadAll(r.Body)
	var onPage func(int)
	a.locked(func() { onPage = a.onPage })
	if page, _ := strconv.Atoi(r.URL.Query().Get("PageNo")); page > 0 && onPage != nil {
		onPage(page)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[action]++
	w.Header().Set("Date", a.now().Format(http.TimeFormat))
	if f := a.faults[action]; f != nil {
		if f.Times == 1 {
			delete(a.faults, action)
		}
		f.Times--
		a.refuse(w, f.Status, f.Code)
		return
	}
	if code := a.unacceptable(r, body, action); code != "" {
		a.refuse(w, http.StatusBadRequest, code)
		return
	}
	if action == "AssumeRoleWithOIDC" {
		a.assume(w, body)
		return
	}
	instance := a.instances[r.URL.Query().Get("InstanceId")]
	if instance == nil {
		a.refuse(w, http.StatusOK, "INSTANCE_NOT_EXIST")
		return
	}
	switch action {
	case "GetAuthorizationToken":
		a.login(w, r.URL.Query().Get("InstanceId"), instance)
	case "GetRepository":
		a.repository(w, r.URL.Query(), instance)
	case "ListRepoTag":
		a.tags(w, r.URL.Query(), instance)
	default:
		a.refuse(w, http.StatusNotFound, "InvalidAction.NotFound")
	}
}

func (a *API) now() time.Time { return a.clock().Add(a.skew).UTC() }

// refuse is what the gateway and ACR write; on HTTP 200 ACR says that it was no success.
func (a *API) refuse(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"RequestId": rand.Text(), "Code": code, "Message": Leak, "IsSuccess": false})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// unacceptable is the gateway's code for a request that it doesn't let pass.
func (a *API) unacceptable(r *http.Request, body []byte, action string) string {
	at, err := time.Parse(time.RFC3339, r.Header.Get("X-Acs-Date"))
	nonce := r.Header.Get("X-Acs-Signature-Nonce")
	switch sum := sha256.Sum256(body); {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		return "UnsupportedHTTPMethod"
	case err != nil || a.now().Sub(at).Abs() > 15*time.Minute:
		return "InvalidTimeStamp.Expired"
	case len(nonce) < 8 || a.nonces[nonce]:
		return "SignatureNonceUsed"
	case r.Header.Get("X-Acs-Content-Sha256") != hex.EncodeToString(sum[:]):
		return "InvalidContentSha256"
	}
	a.nonces[nonce] = true
	if action == "AssumeRoleWithOIDC" {
		return ""
	}
	return a.unsigned(r)
}

// unsigned checks the signature by the text of Alibaba Cloud's page on version 3.
func (a *API) unsigned(r *http.Request) string {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256 Credential=")
	id, rest, ok1 := strings.Cut(rest, ",SignedHeaders=")
	signed, signature, ok2 := strings.Cut(rest, ",Signature=")
	key, known := a.keys[id]
	switch token := r.Header.Get("X-Acs-Security-Token"); {
	case !ok || !ok1 || !ok2:
		return "IncompleteSignature"
	case !known && token != "":
		return "InvalidSecurityToken.Expired"
	case !known:
		return "InvalidAccessKeyId.NotFound"
	case key.Token != token:
		return "InvalidSecurityToken.MismatchWithAccessKey"
	}
	names := strings.Split(signed, ";")
	canonical := "POST\n/\n" + strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20") + "\n"
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-acs-") && !slices.Contains(names, lower) {
			return "IncompleteSignature"
		}
	}
	if !slices.Contains(names, "host") || !slices.IsSorted(names) {
		return "IncompleteSignature"
	}
	canonical += "\n" + signed + "\n" + r.Header.Get("X-Acs-Content-Sha256")
	sum := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(key.Secret))
	fmt.Fprintf(mac, "ACS3-HMAC-SHA256\n%x", sum)
	if !hmac.Equal([]byte(signature), []byte(hex.EncodeToString(mac.Sum(nil)))) {
		return "SignatureDoesNotMatch"
	}
	return ""
}

// login makes a temporary password, which names its instance as ACR's do.
func (a *API) login(w http.ResponseWriter, id string, i *apiInstance) {
	until := a.now().Add(a.life)
	claims, _ := json.Marshal(map[string]any{"instanceId": id, "time": until.UnixMilli(), "type": "user", "userId": "1234567890"})
	password := base64.StdEncoding.EncodeToString(claims) + ":Canary-" + rand.Text()
	if i.server != nil {
		i.server.admit(tempLogin{"cr_temp_user", password, time.Now().Add(a.life)})
	}
	answer(w, http.StatusOK, map[string]any{
		"RequestId": rand.Text(), "Code": "success", "IsSuccess": true, "TempUsername": "cr_temp_user",
		"AuthorizationToken": password, "ExpireTime": until.UnixMilli(),
	})
}

func (a *API) repository(w http.ResponseWriter, q url.Values, i *apiInstance) {
	r := i.repos[q.Get("RepoNamespaceName")+"/"+q.Get("RepoName")]
	if r == nil {
		a.refuse(w, http.StatusOK, "REPO_NOT_EXIST")
		return
	}
	answer(w, http.StatusOK, map[string]any{"RequestId": rand.Text(), "Code": "success", "IsSuccess": true, "RepoId": r.id})
}

func (a *API) tags(w http.ResponseWriter, q url.Values, i *apiInstance) {
	page, _ := strconv.Atoi(q.Get("PageNo"))
	size, _ := strconv.Atoi(q.Get("PageSize"))
	var repo *apiRepo
	for _, r := range i.repos {
		if r.id == q.Get("RepoId") {
			repo = r
		}
	}
	switch {
	case repo == nil:
		a.refuse(w, http.StatusOK, "REPO_NOT_EXIST")
		return
	case page < 1 || size < 1 || size > 100:
		a.refuse(w, http.StatusBadRequest, "InvalidParameter")
		return
	}
	images := []map[string]any{}
	for _, t := range repo.tags[min((page-1)*size, len(repo.tags)):min(page*size, len(repo.tags))] {
		status := "NORMAL"
		if t.Deleting {
			status = "DELETING"
		}
		images = append(images, map[string]any{
			"Tag": t.Tag, "Digest": strings.TrimPrefix(t.Digest, "sha256:"), "Status": status, "ImageSize": 27107966,
			"ImageCreate": millis(t.Created), "ImageUpdate": millis(t.Pushed), "ImageId": "45023655",
		})
	}
	answer(w, http.StatusOK, map[string]any{
		"RequestId": rand.Text(), "Code": "success", "IsSuccess": true, "PageNo": page, "PageSize": size,
		"TotalCount": strconv.Itoa(len(repo.tags)), "Images": images,
	})
}

// millis is a string, as in the documented answers.
func millis(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// assume gives a role's temporary key.
func (a *API) assume(w http.ResponseWriter, body []byte) {
	form, err := url.ParseQuery(string(body))
	shown := Role{form.Get("RoleArn"), form.Get("OIDCProviderArn"), form.Get("OIDCToken")}
	if err != nil || !slices.Contains(a.roles, shown) || form.Get("RoleSessionName") == "" {
		a.refuse(w, http.StatusBadRequest, "AuthenticationFail.NoPermission")
		return
	}
	k := Key{"STS." + rand.Text(), "Canary-" + rand.Text(), "Canary-" + rand.Text()}
	a.keys[k.ID] = k
	answer(w, http.StatusOK, map[string]any{
		"RequestId": rand.Text(),
		"Credentials": map[string]any{
			"AccessKeyId": k.ID, "AccessKeySecret": k.Secret, "SecurityToken": k.Token,
			"Expiration": a.now().Add(a.life).Format("2006-01-02T15:04:05Z"),
		},
	})
}
