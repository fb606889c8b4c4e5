package render

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"
)

// A Read is one thing that a render looked at, and what it saw: a file's content, or that there is no such file.
type Read struct {
	Kind ReadKind `json:"k"`
	Name string   `json:"n"`
	Saw  string   `json:"s"`
}

// A ReadKind says what was looked at.
type ReadKind string

const (
	readVariable ReadKind = "variable"
	readStat     ReadKind = "stat"
	readLink     ReadKind = "link"
	readFile     ReadKind = "file"
	readList     ReadKind = "list"
	readGlob     ReadKind = "glob"
	readDeepGlob ReadKind = "deep glob" // with ** for any depth
)

// maxReads bounds what is remembered of one render; no repository comes near.
const maxReads = 50_000

// reads are those of one render. Without them nothing is recorded.
type reads struct {
	mu    sync.Mutex
	list  []Read
	known map[Read]bool
	// more is set when the output depends on more than the reads and the request: on a template that makes something anew, or on
	// what was fetched.
	more bool
}

func (r *reads) add(kind ReadKind, name, saw string) {
	if r == nil {
		return
	}
	if len(saw) > hex.EncodedLen(sha256.Size) {
		saw = sumOf([]byte(saw))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	read := Read{kind, name, saw}
	if r.known == nil {
		r.known = map[Read]bool{}
	}
	if r.known[read] || len(r.list) == maxReads {
		r.more = r.more || len(r.list) == maxReads
		return
	}
	r.known[read] = true
	r.list = append(r.list, read)
}

// dependsOnMore is called when the output may be another one next time.
func (r *reads) dependsOnMore() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.more = true
}

// all is everything that the output depends on, or nil if that is more.
func (r *reads) all() []Read {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more {
		return nil
	}
	return r.list
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// again looks at something once more, for another request.
func (r Read) again(t *tree, request *Request) string {
	now := &reads{}
	t.reads, request.reads = now, now
	switch r.Kind {
	case readVariable:
		request.variable(r.Name)
	case readStat:
		_, _ = t.stat(r.Name)
	case readLink:
		_, _ = t.link(r.Name)
	case readFile:
		_, _ = t.read(r.Name)
	case readList:
		_, _ = t.list(r.Name)
	case readGlob:
		_, _ = t.glob(r.Name)
	case readDeepGlob:
		_, _ = t.deepGlob(r.Name)
	}
	for _, read := range now.list {
		if read.Kind == r.Kind && read.Name == r.Name {
			return read.Saw
		}
	}
	return ""
}

// glob lists what matches a pattern from the root.
func (t *tree) glob(pattern string) ([]string, error) {
	found, err := fs.Glob(t.root.FS(), pattern)
	t.reads.add(readGlob, pattern, sawNames(found, err))
	return found, err
}

// deepGlob is glob with ** for any depth.
func (t *tree) deepGlob(pattern string) ([]string, error) {
	found, err := doublestar.Glob(t.root.FS(), pattern)
	t.reads.add(readDeepGlob, pattern, sawNames(found, err))
	return found, err
}

func sawNames(names []string, err error) string {
	if err != nil {
		return sawError(err)
	}
	return strings.Join(names, "\x00")
}

func sawError(err error) string { return "error: " + err.Error() }

func sawStat(info fs.FileInfo, err error) string {
	switch {
	case err != nil:
		return sawError(err)
	case info.IsDir():
		return "directory"
	case info.Mode().IsRegular():
		return "file"
	}
	return "something else"
}
