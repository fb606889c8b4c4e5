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

// Fingerprint names a credential in a cache key: equal for equal secret and parts (a user name, say) within this process,
// 32 hex digits. It is an HMAC-SHA256 under a random key of the process, so that a key in a log or a dump cannot be
// used to try passwords. Replicas that share a cache will need a key that they share.
func Fingerprint(secret []byte, parts ...string) string {
	mac := hmac.New(sha256.New, processKey())
	mac.Write([]byte(Key(append(parts[:len(parts):len(parts)], string(secret))...)))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
