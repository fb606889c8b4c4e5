package fetch

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tagpin/tagpin/cache"
)

// inUse is how long what was used is kept in any case: a render that reads it may still run.
const inUse = 10 * time.Minute

// The parts of a store.
const (
	blobs   = "blobs"
	trees   = "trees"
	records = "records"
)

// A store keeps what was fetched on disk: blobs by their digests, trees of Git commits, and records of what a name stood for.
// The least recently used goes first when it grows beyond its limit. Several processes may share one.
type store struct {
	dir   string
	limit int64
	now   func() time.Time

	mu  sync.Mutex // guards key, and lets one make room at a time
	key []byte
}

// A record is what something stood for when it was last asked for.
type record struct {
	// Digest is that of a blob, Commit that of a tree, Tag that of a chart's newest version.
	Digest string `json:",omitempty"`
	Commit string `json:",omitempty"`
	Tag    string `json:",omitempty"`
	// HTML says that the server calls it a page for people.
	HTML bool `json:",omitempty"`
	// ETag and Modified are the server's, for asking whether there is something new.
	ETag     string `json:",omitempty"`
	Modified string `json:",omitempty"`
}

// put keeps a blob and gives its digest.
func (s *store) put(data []byte) (digest string, err error) {
	sum := sha256.Sum256(data)
	digest = hex.EncodeToString(sum[:])
	if _, err := s.blob(digest); err == nil {
		return digest, nil
	}
	if err := s.makeRoom(); err != nil {
		return "", err
	}
	return digest, s.write(filepath.Join(blobs, digest), data)
}

// blob is the path of a blob, whose content is verified each time.
func (s *store) blob(digest string) (string, error) {
	path := filepath.Join(s.dir, blobs, filepath.Base(digest))
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
		return "", errors.Join(errDamaged, os.Remove(path))
	}
	return path, s.used(path)
}

var errDamaged = errors.New("what was kept is damaged")

// tree is the path of a tree that is kept, or else of the one that fill writes into an empty directory.
func (s *store) tree(id string, fill func(dir string) error) (string, error) {
	path := filepath.Join(s.dir, trees, id)
	if _, err := os.Stat(path); err == nil {
		return path, s.used(path)
	}
	if fill == nil {
		return "", fs.ErrNotExist
	}
	if err := s.makeRoom(); err != nil {
		return "", err
	}
	parent, err := s.sub(trees)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return "", disk(err)
	}
	defer os.RemoveAll(dir) // it is gone when all went well
	if err := fill(dir); err != nil {
		return "", err
	}
	if err := os.Rename(dir, path); err != nil && !errors.Is(err, fs.ErrExist) { // another process was faster
		return "", disk(err)
	}
	return path, s.used(path)
}

// note and recall keep records by keys of any length.
func (s *store) note(r record, key ...string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.write(s.recordName(key), data)
}

func (s *store) recall(key ...string) (r record, ok bool) {
	path := filepath.Join(s.dir, s.recordName(key))
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &r) != nil {
		return record{}, false
	}
	_ = s.used(path)
	return r, true
}

// forget drops a record.
func (s *store) forget(key ...string) { _ = os.Remove(filepath.Join(s.dir, s.recordName(key))) }

func (s *store) recordName(key []string) string { return filepath.Join(records, nameOf(key...)) }

// nameOf is a file's name for parts of any kind.
func nameOf(parts ...string) string {
	sum := sha256.Sum256([]byte(cache.Key(parts...)))
	return hex.EncodeToString(sum[:])
}

// fingerprint names a secret, under a key that is drawn once for a directory: nobody who sees the names of its files can try
// passwords against them.
func (s *store) fingerprint(parts ...string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		key, err := s.openKey()
		if err != nil {
			return "", err
		}
		s.key = key
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(cache.Key(parts...)))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func (s *store) openKey() ([]byte, error) {
	path := filepath.Join(s.dir, "key")
	if key, err := os.ReadFile(path); err == nil && len(key) == sha256.Size {
		return key, nil
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	if err := s.write("key", key); err != nil {
		return nil, err
	}
	return key, nil
}

// write puts a file in place whole.
func (s *store) write(name string, data []byte) error {
	parent, err := s.sub(filepath.Dir(name))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(parent, ".new-")
	if err != nil {
		return disk(err)
	}
	defer os.Remove(f.Name()) // it is gone when all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return disk(err)
	}
	return disk(os.Rename(f.Name(), filepath.Join(s.dir, name)))
}

func (s *store) sub(name string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, disk(os.MkdirAll(path, 0o700))
}

func (s *store) used(path string) error {
	now := s.now()
	return disk(os.Chtimes(path, now, now))
}

// disk hides where the store is: errors are shown to everybody.
func disk(err error) error {
	if err == nil {
		return nil
	}
	var at *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fmt.Errorf("keeping what was fetched (--fetch-cache-dir): %w", err)
}

// makeRoom removes what was not used for longest, until the rest is within the limit.
func (s *store) makeRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, sum, err := s.list()
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, k := range all {
		if sum <= s.limit || s.now().Sub(k.used) < inUse {
			break
		}
		if os.RemoveAll(k.path) == nil {
			sum -= k.size
		}
	}
	if sum > s.limit {
		return fmt.Errorf("what was fetched within %s is more than %d MiB: have the operator raise limits.fetch-cache-bytes", inUse, s.limit>>20)
	}
	return nil
}

// A kept is one entry of a store.
type kept struct {
	path string
	size int64
	used time.Time
}

func (s *store) list() (all []kept, sum int64, err error) {
	for _, part := range []string{blobs, trees, records} {
		entries, err := os.ReadDir(filepath.Join(s.dir, part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, disk(err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				k := kept{filepath.Join(s.dir, part, e.Name()), 0, info.ModTime()}
				k.size = usage(k.path)
				all, sum = append(all, k), sum+k.size
			}
		}
	}
	return all, sum, nil
}

// usage is the size of a file, or of all files below a directory.
func usage(path string) int64 {
	var sum int64
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what vanishes meanwhile doesn't count
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
