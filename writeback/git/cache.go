package git

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cacheName is the directory of a remote: a fingerprint of address and credentials, keyed so that nobody who sees the name can
// try passwords against it.
func cacheName(cacheDir string, a address, c Credentials) (string, error) {
	key, err := cacheKey(cacheDir)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	parts := []string{a.given, a.user, c.Username, c.Password, string(c.SSHPrivateKey)}
	if app := c.GitHubApp; app != nil {
		parts = append(parts, strconv.FormatInt(app.ID, 10), strconv.FormatInt(app.InstallationID, 10), string(app.PrivateKey), app.BaseURL)
	}
	for _, part := range parts {
		mac.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	return hex.EncodeToString(mac.Sum(nil)[:16]), nil
}

// cacheKey is a random key that is made once per cache directory.
func cacheKey(cacheDir string) ([]byte, error) {
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(cacheDir, "key")
	for range 100 {
		key, err := os.ReadFile(path)
		if err == nil && len(key) == sha256.Size {
			return key, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := makeKey(path, err == nil); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the file " + path + " can't be written")
}

// makeKey puts the file in place whole, and without replacing one that another process made meanwhile.
func makeKey(path string, damaged bool) error {
	if damaged {
		_ = os.Remove(path)
	}
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	f, err := os.CreateTemp(filepath.Dir(path), "key-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// lockFile waits until nobody else works on a cache, in this process or another. Closing the file releases the lock, as does the
// end of all processes that have it.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// wipe deletes the cache of the repository.
func (r *Repository) wipe(ctx context.Context) error {
	lock, err := lockFile(ctx, r.dir+".lock")
	if err != nil {
		return r.wrap(err, "waiting for the cache")
	}
	defer lock.Close()
	return r.wrap(os.RemoveAll(r.dir), "deleting the damaged cache")
}

// diskUsage is the size of all files below dir in bytes; those that vanish meanwhile don't count.
func diskUsage(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// makeRoom keeps the cache small, before the network is used: few packs here, and the other repositories within the limit.
func (s *session) makeRoom(ctx context.Context) error {
	for _, sub := range []string{treeDir, historyDir} {
		if !crowded(filepath.Join(s.r.dir, sub, "objects")) {
			continue
		}
		if err := s.repack(ctx, sub); err != nil {
			return err
		}
	}
	return s.r.wrap(evict(ctx, s.r.root, filepath.Base(s.r.dir), s.r.options.MaxCacheBytes), "evicting old repositories from the cache")
}

// shrink begins the cache of this repository anew when it alone is over the limit.
func (s *session) shrink(ctx context.Context) error {
	if diskUsage(s.r.dir) <= s.r.options.MaxCacheBytes {
		return nil
	}
	return s.empty(ctx)
}

// empty begins the cache of this repository anew.
func (s *session) empty(ctx context.Context) error {
	for _, sub := range []string{treeDir, historyDir} {
		if err := os.RemoveAll(filepath.Join(s.r.dir, sub)); err != nil {
			return s.r.wrap(err, "emptying the cache")
		}
	}
	return s.initialise(ctx)
}

// Every fetch leaves a pack, every commit some loose objects; both slow git down when there are many.
const (
	maxPacks = 40
	maxLoose = 2000
)

func crowded(objects string) bool {
	packs, _ := filepath.Glob(filepath.Join(objects, "pack", "*.pack"))
	sample, _ := os.ReadDir(filepath.Join(objects, "17")) // names are hashes: one of 256 directories tells of all
	return len(packs) > maxPacks || len(sample) > maxLoose/256
}

func (s *session) repack(ctx context.Context, sub string) error {
	if _, err := s.partial().git(ctx, sub, nil, "repack", "-a", "-d", "-q"); err != nil {
		return err
	}
	// What the server has is not walked through: parts of it are not here.
	if _, err := s.partial().git(ctx, sub, nil, "prune", "--expire=1.hour.ago", "--exclude-promisor-objects"); err != nil {
		return err
	}
	return s.trimShallow(ctx, sub)
}

// trimShallow forgets the boundaries of commits that no reference leads to: git sends all of them with every request.
func (s *session) trimShallow(ctx context.Context, sub string) error {
	path := filepath.Join(s.r.dir, sub, "shallow")
	boundaries, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.r.wrap(err, "reading the cache")
	}
	roots, err := s.git(ctx, sub, nil, "rev-list", "--max-parents=0", "--all")
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(strings.Fields(string(boundaries)), func(sha string) bool { return !strings.Contains(string(roots), sha) })
	if err := os.WriteFile(path+".new", []byte(strings.Join(kept, "\n")+"\n"), 0o600); err != nil { //nolint:gosec // a fixed name in the cache
		return s.r.wrap(err, "writing the cache")
	}
	return s.r.wrap(os.Rename(path+".new", path), "writing the cache")
}

// evict deletes repositories that were not used for longest until all are within limit. Those in use, and keep, stay.
func evict(ctx context.Context, root, keep string, limit int64) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	type cached struct {
		name string
		size int64
		used time.Time
	}
	var all []cached
	var sum int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() {
			c := cached{e.Name(), diskUsage(filepath.Join(root, e.Name())), info.ModTime()}
			all, sum = append(all, c), sum+c.size
		}
	}
	slices.SortFunc(all, func(a, b cached) int { return a.used.Compare(b.used) })
	for _, c := range all {
		if sum <= limit {
			return nil
		}
		if c.name != keep && remove(ctx, filepath.Join(root, c.name)) {
			sum -= c.size
		}
	}
	return nil
}

// remove deletes a repository's cache if nobody works on it.
func remove(ctx context.Context, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	lock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return false
	}
	defer lock.Close()
	return os.RemoveAll(dir) == nil
}

// edges are the commits whose parents the cache doesn't have.
func (s *session) edges(sub string) (map[string]bool, error) {
	content, err := os.ReadFile(filepath.Join(s.r.dir, sub, "shallow"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, s.r.wrap(err, "reading the cache")
	}
	edges := map[string]bool{}
	for _, sha := range strings.Fields(string(content)) {
		edges[sha] = true
	}
	return edges, nil
}
