package acr

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	service = "registry.aliyuncs.com:cn-hangzhou:26842"
	issuer  = "dockerauth.aliyuncs.com"
	// tokenLife is what tokens of ACR have been seen to last.
	tokenLife = 10 * time.Minute
)

// A signer makes the tokens that docker-registry trusts by the certificate in its rootcertbundle.
type signer struct {
	key  *ecdsa.PrivateKey
	cert []byte // DER
}

func newSigner(bundle string) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &signer{key, der}, os.WriteFile(bundle, encodeCert(der), 0o600)
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// sign gives a JSON web token with ES256 and the certificate in its header.
func (s *signer) sign(claims any) (string, error) {
	head, err := json.Marshal(map[string]any{
		"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.cert)},
	})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// A wish is what a token is asked for with: GET with the login in a header, or a form (OAuth 2), which containerd sends.
type wish struct {
	user, password string
	login          bool
	scopes         []string
}

func readWish(r *http.Request) wish {
	var w wish
	if r.Method != http.MethodPost {
		w.user, w.password, w.login = r.BasicAuth()
		w.scopes = r.URL.Query()["scope"]
		return w
	}
	_ = r.ParseForm()
	w.user, w.password = r.PostForm.Get("username"), r.PostForm.Get("password")
	w.login = r.PostForm.Get("grant_type") == "password"
	w.scopes = strings.Fields(r.PostForm.Get("scope"))
	return w
}

// serveToken answers as dockerauth.<region>.aliyuncs.com does.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if s.intercept(Token, w, "") {
		return
	}
	wish := readWish(r)
	switch {
	case strings.Join(wish.scopes, "") == "":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"bad request"}`)
		return
	case !wish.login && s.opts.Public, wish.login && s.knows(wish.user, wish.password):
	default:
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	token, err := s.token(wish.user, granted(wish.scopes, wish.login))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.remember(token)
	body := map[string]any{"token": token, "access_token": token, "expires_in": int(tokenLife.Seconds())}
	if s.opts.AccessToken {
		delete(body, "token")
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// Pass lets time go by for tokens: after ten minutes of it none counts that was given before.
func (s *Server) Pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed += d
}

func (s *Server) remember(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().Add(s.passed)
	maps.DeleteFunc(s.ends, func(_ string, end time.Time) bool { return now.After(end) })
	s.ends[token] = now.Add(tokenLife)
}

// expired says whether a request's token has ended. docker-registry, which knows nothing of Pass, then sees none.
func (s *Server) expired(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok && !time.Now().Add(s.passed).Before(s.ends[token])
}

// knows checks a lasting login, or a temporary one of this instance.
func (s *Server) knows(user, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, exists := s.opts.Users[user]; exists && password == known {
		return true
	}
	return slices.ContainsFunc(s.temp, func(t tempLogin) bool {
		return t.user == user && t.password == password && time.Now().Before(t.until)
	})
}

// Revoke ends all temporary logins.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.temp = nil
}

func (s *Server) admit(t tempLogin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.temp = append(s.temp, t)
}

func (s *Server) token(user string, rights []access) (string, error) {
	now := time.Now()
	return s.signer.sign(map[string]any{
		"iss": issuer, "aud": s.opts.Service, "sub": user, "jti": rand.Text(), "access": rights,
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(tokenLife).Unix(),
	})
}

// granted gives what is asked for to who has a login, and no more than to pull to others.
func granted(scopes []string, login bool) []access {
	var out []access
	for _, scope := range scopes {
		part := strings.SplitN(scope, ":", 3)
		if len(part) != 3 {
			continue
		}
		actions := []string{"pull"}
		if login && part[0] == "repository" {
			actions = strings.Split(part[2], ",")
		}
		out = append(out, access{part[0], part[1], actions})
	}
	return out
}
