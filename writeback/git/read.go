package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A File is what a commit has at a path.
type File struct {
	// Exists is false when there is nothing at the path; that is no error.
	Exists bool
	Bytes  []byte
	// Mode is git's: "100644", or "100755" for an executable.
	Mode string
	// Err is a *PathError when the path leads through or to something that is not to be followed, or can't be a path.
	Err error

	sha string
}

// A PathError says why a path of a commit is refused.
type PathError struct {
	Path   string
	Reason string
}

func (e *PathError) Error() string { return fmt.Sprintf("path %q: %s", e.Path, e.Reason) }

// MaxFileBytes is the largest file that Read returns: what tagpin edits is written by people.
const MaxFileBytes = 4 << 20

// Read returns files of a commit by their slash-separated paths. It asks the server only for what the cache lacks: two requests
// for the commit, two for all files together.
func (r *Repository) Read(ctx context.Context, sha string, paths []string) (map[string]File, error) {
	var files map[string]File
	err := r.do(ctx, func(ctx context.Context, s *session) (err error) {
		if files, err = s.read(ctx, sha, paths); KindOf(err) != Gone || s.unfiltered() {
			return err
		}
		// The server filters, but gives out nothing that no branch points to: git's protocol before version 2, as over SSH
		// without AcceptEnv GIT_PROTOCOL. Then all files are fetched.
		if err = errors.Join(s.noFilter(), s.empty(ctx)); err != nil {
			return err
		}
		files, err = s.read(ctx, sha, paths)
		return err
	})
	return files, err
}

func (s *session) read(ctx context.Context, sha string, paths []string) (map[string]File, error) {
	o, err := s.at(ctx, sha)
	if err != nil {
		return nil, err
	}
	defer o.close()
	files := make(map[string]File, len(paths))
	var missing []string
	for _, path := range paths {
		file, err := o.find(sha, path)
		if err != nil {
			return nil, err
		}
		if file.Exists {
			there, err := o.load(&file, path)
			if err != nil {
				return nil, err
			}
			if !there {
				missing = append(missing, file.sha)
			}
		}
		files[path] = file
	}
	if err := s.fetchBlobs(ctx, missing); err != nil {
		return nil, err
	}
	return files, o.loadRest(files)
}

// loadRest loads the files that had to be fetched.
func (o *objects) loadRest(files map[string]File) error {
	for path, file := range files {
		if !file.Exists || file.Bytes != nil || file.Err != nil {
			continue
		}
		there, err := o.load(&file, path)
		if err != nil {
			return err
		}
		if !there {
			return o.s.damaged(nil)
		}
		files[path] = file
	}
	return nil
}

// load fills in a file's content; false means that the cache doesn't have it.
func (o *objects) load(file *File, path string) (bool, error) {
	kind, content, err := o.get(file.sha)
	switch {
	case err != nil || kind == "":
		return false, err
	case kind != "blob" || len(content) > MaxFileBytes:
		file.Err = &PathError{path, fmt.Sprintf("it is larger than %d bytes", MaxFileBytes)}
	default:
		file.Bytes = content
	}
	return true, nil
}

// find walks down to a path.
func (o *objects) find(sha, path string) (File, error) {
	if err := checkPath(path); err != nil {
		return File{Err: err}, nil
	}
	at := sha + "^{tree}"
	parts := strings.Split(path, "/")
	for i, part := range parts {
		entries, err := o.tree(at)
		if err != nil {
			return File{}, err
		}
		found, ok := lookup(entries, part)
		if !ok {
			return File{}, nil
		}
		if reason := unfollowable(found, i == len(parts)-1); reason != "" {
			return File{Err: &PathError{path, fmt.Sprintf("%q %s", strings.Join(parts[:i+1], "/"), reason)}}, nil
		}
		if found.isFile() {
			return File{Exists: true, Mode: found.mode, sha: found.sha}, nil
		}
		at = found.sha
	}
	return File{}, nil
}

func lookup(entries []entry, name string) (entry, bool) {
	for _, e := range entries {
		if e.name == name {
			return e, true
		}
	}
	return entry{}, false
}

// unfollowable says why an entry can't be a part of a path.
func unfollowable(e entry, last bool) string {
	switch {
	case e.mode == modeSymlink:
		return "is a symbolic link, which is not followed"
	case e.mode == modeSubmodule:
		return "is a submodule: its files belong to another repository"
	case last && e.mode == modeTree:
		return "is a directory"
	case !last && e.mode != modeTree:
		return "is a file, not a directory"
	}
	return ""
}

// checkPath refuses what no file of a repository can be called, and what some client would take for its own .git directory.
func checkPath(path string) error {
	refuse := func(reason string) error { return &PathError{path, reason} }
	if path == "" || len(path) > 4096 || !utf8.ValidString(path) {
		return refuse("it must be UTF-8 of 1 to 4096 bytes")
	}
	for _, c := range path {
		if c < ' ' || c == 0x7f || c == '\\' {
			return refuse("it holds a backslash or a control character")
		}
	}
	for part := range strings.SplitSeq(path, "/") {
		switch lower := strings.ToLower(part); {
		case part == "" || part == "." || part == "..":
			return refuse("a part of it is empty, . or ..")
		case strings.TrimRight(strings.SplitN(lower, ":", 2)[0], " .") == ".git", strings.HasPrefix(lower, "git~"):
			return refuse("a part of it is taken for git's own directory")
		}
	}
	return nil
}
