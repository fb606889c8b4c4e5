package redis

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"sync"

	"github.com/sirupsen/logrus"
)

// Bounds of one value.
const (
	// compressFrom is the size above which compressing is worth its time.
	compressFrom = 1 << 10
	// maxStored is the most that is read from Redis, or written to it.
	maxStored = 8 << 20
	// maxValue is the most that a value may become: the longest list of tags that the registry package accepts.
	maxValue = 32 << 20
)

// A stored value is a magic number with the version, flags, a MAC where there is a key, and the body.
const (
	magic      = "tp\x01"
	compressed = 1 << 0
	signed     = 1 << 1
	macSize    = sha256.Size
	headSize   = len(magic) + 1
)

// errForeign is what is absent for us: another program's value, another version's, one that was changed.
var errForeign = errors.New("a value in Redis is not ours")

var errLarge = errors.New("the value is too large to be shared")

// A sealer writes and reads values.
type sealer struct {
	keys [][]byte
	odd  *odd
}

// seal makes the stored form of a value for one key.
func (s sealer) seal(key string, value []byte) ([]byte, error) {
	if len(value) > maxValue {
		return nil, errLarge
	}
	flags, body := byte(0), value
	if len(value) > compressFrom {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		if _, err := w.Write(value); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		flags, body = compressed, buf.Bytes()
	}
	out := make([]byte, 0, headSize+macSize+len(body))
	out = append(out, magic...)
	if len(s.keys) > 0 {
		flags |= signed
		out = append(out, flags)
		out = append(out, mac(s.keys[0], key, flags, body)...)
	} else {
		out = append(out, flags)
	}
	out = append(out, body...)
	if len(out) > maxStored {
		return nil, errLarge
	}
	return out, nil
}

// open reads what seal wrote for the same key.
func (s sealer) open(key string, stored []byte) ([]byte, error) {
	if len(stored) < headSize || len(stored) > maxStored || !bytes.HasPrefix(stored, []byte(magic)) {
		return nil, errForeign
	}
	flags, body := stored[len(magic)], stored[headSize:]
	if flags&^(compressed|signed) != 0 || flags&signed != 0 && len(body) < macSize {
		return nil, errForeign
	}
	var sum []byte
	if flags&signed != 0 {
		sum, body = body[:macSize], body[macSize:]
	}
	if len(s.keys) > 0 && !s.genuine(key, flags, sum, body) {
		s.odd.tell()
		return nil, errForeign
	}
	if flags&compressed == 0 {
		return body, nil
	}
	return inflate(body)
}

func (s sealer) genuine(key string, flags byte, sum, body []byte) bool {
	for _, k := range s.keys {
		if flags&signed != 0 && hmac.Equal(sum, mac(k, key, flags, body)) {
			return true
		}
	}
	return false
}

// mac binds a value to its key, so that none can be put in another's place.
func mac(secret []byte, key string, flags byte, body []byte) []byte {
	m := hmac.New(sha256.New, secret)
	var length [8]byte
	for i, n := 0, len(key); i < len(length); i, n = i+1, n>>8 {
		length[i] = byte(n)
	}
	m.Write(length[:])
	m.Write([]byte(key))
	m.Write([]byte{flags})
	m.Write(body)
	return m.Sum(nil)
}

func inflate(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, errForeign
	}
	value, err := io.ReadAll(io.LimitReader(r, maxValue+1))
	if err != nil || len(value) > maxValue {
		return nil, errForeign
	}
	return value, nil
}

// odd tells once that values fail the check of their signature.
type odd struct {
	log  logrus.FieldLogger
	once sync.Once
}

func (o *odd) tell() {
	o.once.Do(func() {
		o.log.Warn("values in Redis are not signed with the key of --redis-hmac-key, and don't count: give every replica the same key " +
			"file. If all have it, somebody else writes to Redis")
	})
}
