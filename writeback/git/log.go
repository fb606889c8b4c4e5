package git

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A CommitInfo is what a commit says of itself.
type CommitInfo struct {
	SHA     string
	Parents []string
	// Tree names the commit's files all together.
	Tree   string
	Author Person
	// When is the committer's date: that a clock of someone else said so.
	When    time.Time
	Message string
}

// Changes are the trailers of the message, if they were written for this very commit: for its parent and its files. In any
// other commit that repeats them they claim nothing. What they say of the change itself is not compared with the files.
func (c CommitInfo) Changes() ([]Change, error) {
	if len(c.Parents) != 1 || !boundTo(c.Message, c.Parents[0], c.Tree) {
		return nil, nil
	}
	return ParseTrailers(c.Message)
}

// A Bound says where Log stops at the latest.
type Bound struct {
	// Max is the number of commits; 0 means DefaultMaxLog.
	Max int
	// Until is a commit that is known already: neither it nor what came before it is visited. It may be empty.
	Until string
	// Since ends the log at commits that are older.
	Since time.Time
}

// DefaultMaxLog is about 500 KB of ordinary commit messages.
const DefaultMaxLog = 2000

// An End says why Log stopped.
type End string

// The ends of a log.
const (
	EndVisitor End = "visitor" // visit returned false
	EndRoot    End = "root"    // there are no more commits, or Until was met on every line of descent
	EndBound   End = "bound"   // Max or Since: what is older was not looked at
)

// firstDepth is how deep the first look goes; each further one goes four times as deep.
const firstDepth = 32

// Log visits the commits that lead to a tip, newest first, until visit returns false. It fetches commits without their trees
// in steps, so that a short look is cheap. On a server without filters the steps carry files too.
func (r *Repository) Log(ctx context.Context, tip string, bound Bound, visit func(CommitInfo) bool) (End, error) {
	if bound.Max <= 0 {
		bound.Max = DefaultMaxLog
	}
	if !isSHA(tip) || bound.Until != "" && !isSHA(bound.Until) {
		return "", &Error{Kind: BadCommit, Remote: r.address.shown, Detail: "a log needs full commit names"}
	}
	l := history{tip: tip, bound: bound, visit: visit, seen: map[string]bool{}}
	for depth := min(firstDepth, bound.Max); ; depth = min(4*depth, bound.Max) {
		var commits []CommitInfo
		var shallow map[string]bool
		err := r.do(ctx, func(ctx context.Context, s *session) (err error) {
			commits, shallow, err = s.history(ctx, tip, depth)
			return err
		})
		if err != nil {
			return "", err
		}
		if end := l.walk(commits, shallow); end != "" {
			return end, nil
		}
		if depth >= bound.Max {
			return EndBound, nil
		}
	}
}

// history is one Log in progress.
type history struct {
	tip   string
	bound Bound
	visit func(CommitInfo) bool
	seen  map[string]bool
}

// walk visits what is new in a list; an empty End means that a deeper list is needed.
func (h *history) walk(commits []CommitInfo, shallow map[string]bool) End {
	known := h.behind(commits)
	cut := false
	listed := make(map[string]bool, len(commits))
	for _, c := range commits {
		listed[c.SHA] = true
	}
	for _, c := range commits {
		if known[c.SHA] {
			continue
		}
		cut = cut || shallow[c.SHA] || slices.ContainsFunc(c.Parents, func(sha string) bool { return !listed[sha] && !known[sha] })
		if h.seen[c.SHA] {
			continue
		}
		if len(h.seen) >= h.bound.Max || c.When.Before(h.bound.Since) {
			return EndBound
		}
		h.seen[c.SHA] = true
		if !h.visit(c) {
			return EndVisitor
		}
	}
	if cut {
		return ""
	}
	return EndRoot
}

// behind are Until and those of its ancestors that the list has.
func (h *history) behind(commits []CommitInfo) map[string]bool {
	known := map[string]bool{}
	if h.bound.Until == "" {
		return known
	}
	parents := make(map[string][]string, len(commits))
	for _, c := range commits {
		parents[c.SHA] = c.Parents
	}
	for todo := []string{h.bound.Until}; len(todo) > 0; {
		sha := todo[0]
		todo = todo[1:]
		if !known[sha] {
			known[sha] = true
			todo = append(todo, parents[sha]...)
		}
	}
	return known
}

// history fetches commits to a depth, where the cache does not reach as deep, and lists them.
func (s *session) history(ctx context.Context, tip string, depth int) ([]CommitInfo, map[string]bool, error) {
	if err := s.ensure(ctx, tip); err != nil {
		return nil, nil, err
	}
	args := []string{"--depth=" + strconv.Itoa(depth), "--filter=tree:0", endOfOptions, remoteName, tip}
	sub := historyDir
	if s.unfiltered() {
		sub, args = treeDir, slices.Delete(args, 1, 2) // whole commits are fetched anyway, and these are here in part
	}
	deep, err := s.reaches(ctx, sub, tip, depth)
	if err != nil {
		return nil, nil, err
	}
	if !deep {
		if _, err := s.fetch(ctx, sub, nil, args...); err != nil {
			return nil, nil, err
		}
		if err := s.remember(ctx, sub, tip); err != nil {
			return nil, nil, err
		}
	}
	return s.list(ctx, sub, tip, depth)
}

// reaches says whether the cache has at least depth commits from tip, or all that there are.
func (s *session) reaches(ctx context.Context, sub, tip string, depth int) (bool, error) {
	there, err := s.has(ctx, sub, tip)
	if err != nil || !there {
		return false, err
	}
	commits, shallow, err := s.list(ctx, sub, tip, depth)
	if err != nil {
		return false, err
	}
	for _, c := range commits {
		if shallow[c.SHA] {
			return false, nil
		}
	}
	return true, nil
}

// list reads commits from the cache and says which of them are its edge.
func (s *session) list(ctx context.Context, sub, tip string, depth int) ([]CommitInfo, map[string]bool, error) {
	const format = "--format=%H%n%P%n%T%n%an%n%ae%n%ct%n%B"
	out, err := s.git(ctx, sub, nil, "log", "-z", "--date-order", "--no-notes", "--encoding=UTF-8", "--max-count="+strconv.Itoa(depth), format, endOfOptions, tip)
	if err != nil {
		return nil, nil, err
	}
	shallow, err := s.edges(sub)
	if err != nil {
		return nil, nil, err
	}
	var commits []CommitInfo
	for record := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		c, err := parseCommit(record)
		if err != nil {
			return nil, nil, &Error{Kind: Garbage, Remote: s.r.address.shown, Detail: err.Error()}
		}
		commits = append(commits, c)
	}
	return commits, shallow, nil
}

func parseCommit(record string) (CommitInfo, error) {
	fields := strings.SplitN(record, "\n", 7)
	if len(fields) < 7 || !isSHA(fields[0]) {
		return CommitInfo{}, fmt.Errorf("a commit's header is not understood")
	}
	seconds, err := strconv.ParseInt(fields[5], 10, 64)
	if err != nil {
		return CommitInfo{}, fmt.Errorf("the date of commit %s is not understood", fields[0])
	}
	return CommitInfo{
		SHA: fields[0], Parents: strings.Fields(fields[1]), Tree: fields[2], Author: Person{fields[3], fields[4]}, When: time.Unix(seconds, 0).UTC(),
		Message: strings.TrimRight(fields[6], "\n"),
	}, nil
}
