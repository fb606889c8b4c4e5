package cache

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
)

// Key joins parts so that different parts never give one key: each is preceded by its length.
func Key(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
		b.WriteByte(',')
	}
	return b.String()
}

// processKey is drawn at the first use and never leaves the process.
var processKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // crypto/rand ends the program rather than fail
	return key
})

// Fingerprints name credentials in keys that several processes use.
type Fingerprints struct{ key []byte }

// NewFingerprints makes those of a key that these processes share and nobody else knows. Without one they are this process's own.
func NewFingerprints(key []byte) Fingerprints {
	if len(key) == 0 {
		key = processKey()
	}
	return Fingerprints{key}
}

// Of is equal for equal secret and parts (a user name, say), 32 hex digits: an HMAC-SHA256, so that a key in a log or a dump can't
// be used to try passwords.
func (f Fingerprints) Of(secret []byte, parts ...string) string {
	mac := hmac.New(sha256.New, f.key)
	mac.Write([]byte(Key(append(parts[:len(parts):len(parts)], string(secret))...)))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Fingerprint is Fingerprints.Of within this process, by a random key that never leaves it.
func Fingerprint(secret []byte, parts ...string) string {
	return NewFingerprints(nil).Of(secret, parts...)
}
