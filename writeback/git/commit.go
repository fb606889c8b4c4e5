package git

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Person is an author or committer.
type Person struct{ Name, Email string }

// A Commit is what Repository.Commit makes.
type Commit struct {
	// Files are whole contents by path. A file that is there keeps its mode, a new one is 100644.
	Files             map[string][]byte
	Author, Committer Person
	// When is the author's and the committer's date; the seconds count, in its own zone.
	When time.Time
	// Message is text; where it has trailers, the line that binds them to this commit is added.
	Message string
	// Sign is nil for a commit without signature.
	Sign *Signer
}

// A CommitResult is a new commit, or says that there was nothing to commit.
type CommitResult struct {
	// SHA is the new commit, or the parent when nothing changed.
	SHA     string
	Changed bool
}

// Commit makes a commit on top of parent, in the cache alone: Push sends it. parent is a commit of the server or the result of
// an earlier call, so that several are stacked. Only the trees on the way to the files are rewritten. Paths that lead through
// symbolic links or submodules, and new files that differ from a neighbour only by case, are refused with a *PathError.
func (r *Repository) Commit(ctx context.Context, parent string, c Commit) (CommitResult, error) {
	if err := c.check(); err != nil {
		return CommitResult{}, err
	}
	var result CommitResult
	err := r.do(ctx, func(ctx context.Context, s *session) (err error) {
		result, err = s.commit(ctx, parent, c)
		return err
	})
	return result, err
}

// MaxMessageBytes bounds a commit message.
const MaxMessageBytes = 64 << 10

func (c Commit) check() error {
	bad := func(detail string) error { return &Error{Kind: BadCommit, Detail: detail} }
	if strings.TrimSpace(c.Message) == "" || len(c.Message) > MaxMessageBytes || !utf8.ValidString(c.Message) || strings.ContainsRune(c.Message, 0) {
		return bad("the commit message must be UTF-8 of 1 to 65536 bytes")
	}
	if c.When.Unix() <= 0 {
		return bad("the commit has no date")
	}
	for _, p := range []Person{c.Author, c.Committer} {
		if strings.TrimSpace(p.Name) == "" || p.Email == "" || strings.ContainsAny(p.Name+p.Email, "<>\n\r\x00") || !utf8.ValidString(p.Name+p.Email) {
			return bad(fmt.Sprintf("author and committer need a name and an e-mail address without angle brackets, not %q <%q>", p.Name, p.Email))
		}
	}
	for path := range c.Files {
		if err := checkPath(path); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) commit(ctx context.Context, parent string, c Commit) (CommitResult, error) {
	o, err := s.at(ctx, parent)
	if err != nil {
		return CommitResult{}, err
	}
	defer o.close()
	root := node{name: parent + "^{tree}"}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		blob, err := s.git(ctx, treeDir, bytes.NewReader(c.Files[path]), "hash-object", "-t", "blob", "-w", "--no-filters", "--stdin")
		if err != nil {
			return CommitResult{}, err
		}
		if err := o.place(&root, path, strings.TrimSpace(string(blob))); err != nil {
			return CommitResult{}, err
		}
	}
	if !root.changed {
		return CommitResult{SHA: parent}, nil
	}
	tree, err := s.writeTrees(ctx, &root)
	if err != nil {
		return CommitResult{}, err
	}
	sha, err := s.writeCommit(ctx, tree, parent, c)
	return CommitResult{SHA: sha, Changed: err == nil}, err
}

// A node is a tree on the way to a changed file.
type node struct {
	name     string // the tree as it was; empty for a new directory
	entries  []entry
	children map[string]*node
	loaded   bool
	changed  bool
}

// place puts a blob at a path below n.
func (o *objects) place(n *node, path, blob string) error {
	way := []*node{n}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if err := o.fill(n); err != nil {
			return err
		}
		old, there := lookup(n.entries, part)
		if there {
			if reason := unfollowable(old, i == len(parts)-1); reason != "" {
				return &PathError{path, fmt.Sprintf("%q %s", strings.Join(parts[:i+1], "/"), reason)}
			}
		} else if other := sameButForCase(n.entries, part); other != "" {
			return &PathError{path, fmt.Sprintf("%q differs from %q only by case, and some file systems can't hold both", part, other)}
		}
		if i == len(parts)-1 {
			return n.put(entry{name: part, sha: blob}, old, way)
		}
		n = n.child(old, part)
		way = append(way, n)
	}
	return nil
}

// fill loads the entries of a tree that was there before.
func (o *objects) fill(n *node) error {
	if n.loaded || n.name == "" {
		return nil
	}
	entries, err := o.tree(n.name)
	n.entries, n.loaded = slices.Clone(entries), true
	return err
}

func (n *node) child(old entry, name string) *node {
	if c, ok := n.children[name]; ok {
		return c
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := &node{name: old.sha}
	n.children[name] = c
	if old.name == "" {
		n.entries = append(n.entries, entry{mode: modeTree, name: name})
	}
	return c
}

// put sets a file in n; way are n and the trees above it.
func (n *node) put(e, old entry, way []*node) error {
	if old.sha == e.sha {
		return nil
	}
	e.mode = modeFile
	if old.mode != "" {
		e.mode = old.mode
	}
	n.entries = append(slices.DeleteFunc(n.entries, func(x entry) bool { return x.name == e.name }), e)
	for _, above := range way {
		above.changed = true
	}
	return nil
}

func sameButForCase(entries []entry, name string) string {
	for _, e := range entries {
		if strings.EqualFold(e.name, name) {
			return e.name
		}
	}
	return ""
}

// writeTrees writes the changed trees from the leaves up with one process, and returns the root's name.
func (s *session) writeTrees(ctx context.Context, root *node) (string, error) {
	cmd := s.command(ctx, treeDir, "mktree", "-z", "--missing", "--batch")
	printed := &bounded{max: 16 << 10}
	cmd.Stderr = printed
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", s.r.wrap(err, "starting git")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", s.r.wrap(err, "starting git")
	}
	if err := cmd.Start(); err != nil {
		return "", s.r.wrap(err, "starting git")
	}
	sha, writeErr := root.write(in, bufio.NewReader(out))
	in.Close()
	waitErr := cmd.Wait()
	s.ended(cmd)
	if waitErr != nil {
		return "", s.damaged(s.failure(ctx, waitErr, printed.String()))
	}
	return sha, s.r.wrap(writeErr, "writing trees")
}

func (n *node) write(in io.Writer, out *bufio.Reader) (string, error) {
	for name, c := range n.children {
		if !c.changed {
			continue
		}
		sha, err := c.write(in, out)
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(n.entries, func(e entry) bool { return e.name == name })
		n.entries[i].sha = sha
	}
	var spec bytes.Buffer
	for _, e := range n.entries {
		if e.sha != "" {
			fmt.Fprintf(&spec, "%s %s %s\t%s\x00", e.mode, e.objectType(), e.sha, e.name)
		}
	}
	spec.WriteByte(0) // ends this tree
	if _, err := in.Write(spec.Bytes()); err != nil {
		return "", err
	}
	line, err := out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (s *session) writeCommit(ctx context.Context, tree, parent string, c Commit) (string, error) {
	_, zone := c.When.Zone()
	when := fmt.Sprintf("@%d %+03d%02d", c.When.Unix(), zone/3600, max(zone, -zone)/60%60)
	identity := []string{
		"GIT_AUTHOR_NAME=" + c.Author.Name, "GIT_AUTHOR_EMAIL=" + c.Author.Email, "GIT_AUTHOR_DATE=" + when,
		"GIT_COMMITTER_NAME=" + c.Committer.Name, "GIT_COMMITTER_EMAIL=" + c.Committer.Email, "GIT_COMMITTER_DATE=" + when,
	}
	args := []string{"commit-tree", "-p", parent, "-F", "-"}
	if c.Sign != nil {
		identity = append(identity, c.Sign.environment()...)
		args = append(c.Sign.settings(), append(args, "-S"+c.Sign.key)...)
	}
	signing := *s
	signing.env = append(slices.Clone(s.env), identity...)
	out, err := signing.git(ctx, treeDir, strings.NewReader(strings.TrimRight(bindTo(c.Message, parent, tree), "\n")+"\n"), append(args, tree)...)
	if err != nil {
		if c.Sign != nil && KindOf(err) == Program {
			return "", &Error{Kind: BadCommit, Remote: s.r.address.shown, Detail: "signing did not work: check the signing key"}
		}
		return "", err
	}
	sha := strings.TrimSpace(string(out))
	if !isSHA(sha) {
		return "", &Error{Kind: Program, Remote: s.r.address.shown, Detail: "git made a commit that is called " + strconv.Quote(sha)}
	}
	return sha, nil
}
