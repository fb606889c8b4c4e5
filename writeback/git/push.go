package git

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// A PushStatus is how a push ended.
type PushStatus string

// The outcomes of a push that the server answered.
const (
	// Updated: the branch is where it was sent.
	Updated PushStatus = "updated"
	// Stale: the branch was not where the commits begin. Nothing was written; begin again from PushResult.Tip.
	Stale PushStatus = "stale"
	// Refused: the server's rules forbid it (a protected branch, a hook). Trying again soon is of no use.
	Refused PushStatus = "refused"
)

// A PushResult is what the server answered.
type PushResult struct {
	Status PushStatus
	// Tip is where the branch points now, as far as it is known: after Stale it may be empty, which means that the branch is
	// gone or moved again; ask Repository.Tip then.
	Tip string
	// Reason says in our words why a push was refused, and what to change.
	Reason string
}

// Push moves a branch from one commit to another with one push and never by force: the server moves it only if it still is
// at from. An empty from makes a new branch. to must have been made by Commit on top of from. Over HTTP it takes two requests,
// and one when the branch has moved. After an error of the network the branch may have moved all the same: ask Tip.
func (r *Repository) Push(ctx context.Context, branch, from, to string) (PushResult, error) {
	branch = strings.TrimPrefix(branch, "refs/heads/")
	if err := CheckBranch(branch); err != nil {
		return PushResult{}, err
	}
	p := pushing{ref: "refs/heads/" + branch, from: from, to: to}
	var result PushResult
	err := r.do(ctx, func(ctx context.Context, s *session) (err error) {
		result, err = s.push(ctx, p)
		return err
	})
	return result, err
}

// TryPush begins a push to a branch and sends nothing: the server has let in who may push to the repository. Whether it
// would take a commit on this very branch (protection, hooks) is not known before one arrives. tip is where the branch was seen;
// the commit must have been read.
func (r *Repository) TryPush(ctx context.Context, branch, tip string) error {
	branch = strings.TrimPrefix(branch, "refs/heads/")
	if err := CheckBranch(branch); err != nil {
		return err
	}
	if !isSHA(tip) {
		return &Error{Kind: BadCommit, Remote: r.address.shown, Detail: "a push needs full commit names"}
	}
	ref := "refs/heads/" + branch
	return r.do(ctx, func(ctx context.Context, s *session) error {
		if s.r.address.scheme == "https" || s.r.address.scheme == "http" {
			_, err := s.talk(ctx, func(h helper) (PushResult, error) {
				_, err := h.begin(ref)
				return PushResult{}, err
			})
			return err
		}
		// What is sent to where it already is changes nothing even if it is sent.
		_, _, err := s.run(ctx, treeDir, nil, "push", "--dry-run", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no",
			endOfOptions, remoteName, tip+":"+ref)
		return err
	})
}

type pushing struct{ ref, from, to string }

func (s *session) push(ctx context.Context, p pushing) (PushResult, error) {
	if err := s.checkPush(ctx, p); err != nil {
		return PushResult{}, err
	}
	if err := s.makeRoom(ctx); err != nil {
		return PushResult{}, err
	}
	send := s.pushDirect
	if s.r.address.scheme == "https" || s.r.address.scheme == "http" {
		send = s.pushHTTP
	}
	result, err := send(ctx, p)
	if err == nil && result.Status == Updated {
		result.Tip = p.to
		err = s.remember(ctx, treeDir, p.to)
	}
	return result, err
}

// checkPush holds that the branch can only go forward.
func (s *session) checkPush(ctx context.Context, p pushing) error {
	bad := func(detail string) error { return &Error{Kind: BadCommit, Remote: s.r.address.shown, Detail: detail} }
	if !isSHA(p.to) || p.from != "" && !isSHA(p.from) {
		return bad("a push needs full commit names")
	}
	there, err := s.has(ctx, treeDir, p.to)
	if err != nil {
		return err
	}
	if !there {
		return &Error{Kind: Gone, Remote: s.r.address.shown, Detail: "the commits to push are no longer in the cache: begin again from the branch's tip"}
	}
	if p.from == "" {
		return nil
	}
	chain, err := s.git(ctx, treeDir, nil, "rev-list", "--first-parent", "--max-count=10000", p.to)
	if err != nil {
		return err
	}
	if p.from == p.to || !strings.Contains(string(chain), p.from) {
		return bad("the commits to push were not made on top of the branch")
	}
	return nil
}

// pushHTTP speaks with git's own HTTP helper (gitremote-helpers(7)), because that shows where the branch is before anything is
// sent: `git push` would only say that it is elsewhere.
func (s *session) pushHTTP(ctx context.Context, p pushing) (PushResult, error) {
	return s.talk(ctx, func(h helper) (PushResult, error) { return h.push(p) })
}

// talk runs git's helper for one conversation.
func (s *session) talk(ctx context.Context, conversation func(helper) (PushResult, error)) (PushResult, error) {
	cmd := s.command(ctx, treeDir, "remote-"+s.r.address.scheme, remoteName, s.r.address.given)
	printed := &bounded{max: 16 << 10}
	cmd.Stderr = printed
	in, err := cmd.StdinPipe()
	if err != nil {
		return PushResult{}, s.r.wrap(err, "starting git")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return PushResult{}, s.r.wrap(err, "starting git")
	}
	if err := cmd.Start(); err != nil {
		return PushResult{}, s.r.wrap(err, "starting git")
	}
	h := helper{in: in, out: bufio.NewReader(out)}
	result, talkErr := conversation(h)
	in.Close()
	waitErr := cmd.Wait()
	s.ended(cmd)
	switch {
	case talkErr == nil:
		if result.Status == Refused {
			return judge(result.Reason, printed.String()), nil
		}
		return result, nil
	case KindOf(talkErr) != "":
		return PushResult{}, s.r.wrap(talkErr, "")
	case waitErr == nil:
		waitErr = talkErr
	}
	return PushResult{}, s.failure(ctx, waitErr, printed.String())
}

// A helper is a remote helper of git.
type helper struct {
	in  io.Writer
	out *bufio.Reader
}

// begin makes the connection for a push and returns where a reference points, empty when it does not exist.
func (h helper) begin(ref string) (string, error) {
	for _, option := range []string{"verbosity 0", "progress false", "object-format true"} {
		if err := h.say("option " + option + "\n"); err != nil {
			return "", err
		}
		if _, err := h.line(); err != nil {
			return "", err
		}
	}
	return h.list(ref)
}

func (h helper) push(p pushing) (PushResult, error) {
	tip, err := h.begin(p.ref)
	if err != nil {
		return PushResult{}, err
	}
	if tip != p.from {
		return PushResult{Status: Stale, Tip: tip}, nil
	}
	if err := h.say("push " + p.to + ":" + p.ref + "\n\n"); err != nil {
		return PushResult{}, err
	}
	return h.outcome(p.ref)
}

// list returns where a reference points on the server, empty when it does not exist.
func (h helper) list(ref string) (string, error) {
	if err := h.say("list for-push\n"); err != nil {
		return "", err
	}
	tip := ""
	for {
		line, err := h.line()
		if err != nil {
			return "", err
		}
		if line == "" {
			return tip, nil
		}
		if format, ok := strings.CutPrefix(line, ":object-format "); ok && format != "sha1" {
			return "", &Error{Kind: ObjectFormat, Detail: "the repository uses SHA-256 object names, which are not supported"}
		}
		if sha, name, _ := strings.Cut(line, " "); name == ref && isSHA(sha) {
			tip = sha
		}
	}
}

// outcome reads "ok <ref>" or "error <ref> <why>", up to an empty line. The reason is git's or the server's word: judge it.
func (h helper) outcome(ref string) (PushResult, error) {
	var result PushResult
	for {
		line, err := h.line()
		if err != nil {
			return PushResult{}, err
		}
		if line == "" {
			break
		}
		word, rest, _ := strings.Cut(line, " ")
		name, why, _ := strings.Cut(rest, " ")
		if name != ref {
			continue
		}
		if word == "ok" {
			result.Status = Updated
		} else {
			result = PushResult{Status: Refused, Reason: why}
		}
	}
	if result.Status == "" {
		return PushResult{}, io.ErrUnexpectedEOF
	}
	return result, nil
}

func (h helper) say(text string) error {
	_, err := io.WriteString(h.in, text)
	return err
}

func (h helper) line() (string, error) {
	line, err := h.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// pushDirect pushes over SSH. The lease makes the server's answer depend on from; since to was made on top of from, what the
// lease lets through is a fast-forward, and nothing is ever overwritten.
func (s *session) pushDirect(ctx context.Context, p pushing) (PushResult, error) {
	args := []string{
		"push", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no",
		"--force-with-lease=" + p.ref + ":" + p.from, endOfOptions, remoteName, p.to + ":" + p.ref,
	}
	out, printed, err := s.run(ctx, treeDir, nil, args...)
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 3) // a space in front means a fast-forward
		if len(fields) == 3 && strings.HasSuffix(fields[1], ":"+p.ref) {
			return outcomeOf(fields, printed), nil
		}
	}
	if err == nil {
		err = &Error{Kind: Program, Remote: s.r.address.shown, Detail: "git said nothing of the push"}
	}
	return PushResult{}, err
}

func outcomeOf(fields []string, printed string) PushResult {
	switch {
	case fields[0] != "!":
		return PushResult{Status: Updated}
	case strings.HasPrefix(fields[2], "[rejected]"):
		return PushResult{Status: Stale}
	}
	return judge(fields[2], printed)
}

// What servers answer, by the words that the known ones use.
var (
	movedWords     = regexp.MustCompile(`(?i)fetch first|non-fast.forward|stale info|cannot lock ref|failed to update ref|failed to lock|already exists|reference already|incorrect old value`)
	protectedWords = regexp.MustCompile(`(?i)GH006|GH013|protected branch|protected ref|rule violations|not allowed to push|TF402455`)
	hookWords      = regexp.MustCompile(`(?i)hook declined|hook`)
)

// judge turns a server's refusal into our words.
func judge(reason, printed string) PushResult {
	switch {
	case movedWords.MatchString(reason):
		return PushResult{Status: Stale}
	case protectedWords.MatchString(reason + printed):
		return PushResult{Status: Refused, Reason: "the branch is protected: let tagpin's user push to it, or have changes proposed on another branch with git-branch: <base>:<write>"}
	case hookWords.MatchString(reason):
		return PushResult{Status: Refused, Reason: "a hook of the server refused the commit: ask its owner what commits must look like (signed, signed off, a known author, a ticket in the message)"}
	}
	return PushResult{Status: Refused, Reason: "the server refused the push and gave a reason that tagpin does not know: see the server's log, or push a change by hand to read it"}
}

// String is for logs.
func (p PushResult) String() string {
	if p.Reason == "" {
		return string(p.Status)
	}
	return fmt.Sprintf("%s: %s", p.Status, p.Reason)
}
