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

// serveToken answers as dockerauth.<region>.aliyuncs.com does.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if s.intercept(Token, w, "") {
		return
	}
	user, password, login := r.BasicAuth()
	switch {
	case r.URL.Query().Get("scope") == "":
		http.Error(w, `{"error":"bad request"}`, http.StatusBadRequest)
		return
	case !login && s.opts.Public, login && s.knows(user, password):
	default:
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	token, err := s.token(user, granted(r.URL.Query()["scope"]))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": token, "access_token": token, "expires_in": int(tokenLife.Seconds()),
	})
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

// granted lets everybody who has a token pull, whatever is asked for.
func granted(scopes []string) []access {
	var out []access
	for _, scope := range scopes {
		if part := strings.SplitN(scope, ":", 3); len(part) == 3 {
			out = append(out, access{part[0], part[1], []string{"pull"}})
		}
	}
	return out
}
