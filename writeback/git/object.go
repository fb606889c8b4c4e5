package git

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// An entry is one line of a tree.
type entry struct {
	mode, name, sha string
}

// Git's modes. Trees are written with five digits in a tree object, and 100664 is an old way to write 100644.
const (
	modeTree      = "40000"
	modeFile      = "100644"
	modeSymlink   = "120000"
	modeSubmodule = "160000"
)

func (e entry) isFile() bool { return strings.HasPrefix(e.mode, "100") }

// objectType is what mktree wants to be told.
func (e entry) objectType() string {
	switch e.mode {
	case modeTree:
		return "tree"
	case modeSubmodule:
		return "commit"
	}
	return "blob"
}

// parseTree reads the raw form of a tree: mode, space, name, NUL, twenty bytes.
func parseTree(raw []byte) ([]entry, error) {
	var entries []entry
	for len(raw) > 0 {
		head, rest, ok := bytes.Cut(raw, []byte{0})
		mode, name, split := strings.Cut(string(head), " ")
		if !ok || !split || len(rest) < 20 || name == "" || mode == "" {
			return nil, fmt.Errorf("a tree object is malformed")
		}
		entries = append(entries, entry{mode: strings.TrimLeft(mode, "0"), name: name, sha: hex.EncodeToString(rest[:20])})
		raw = rest[20:]
	}
	return entries, nil
}

// objects reads objects of the tree cache with one process, cat-file --batch. Trees are parsed once.
type objects struct {
	s      *session
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *bounded
	died   func() error // why the process had to end, if it had to
	trees  map[string][]entry
	closed bool
}

func (s *session) objects(ctx context.Context) (*objects, error) {
	o := &objects{s: s, trees: map[string][]entry{}, stderr: &bounded{max: 16 << 10}}
	o.died = func() error {
		if ctx.Err() == nil {
			return nil
		}
		return s.failure(ctx, ctx.Err(), "")
	}
	o.cmd = s.command(ctx, treeDir, "cat-file", "--batch")
	o.cmd.Stderr = o.stderr
	in, err := o.cmd.StdinPipe()
	if err != nil {
		return nil, s.r.wrap(err, "starting git")
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, s.r.wrap(err, "starting git")
	}
	o.in, o.out = in, bufio.NewReader(out)
	if err := o.cmd.Start(); err != nil {
		return nil, s.r.wrap(err, "starting git")
	}
	return o, nil
}

// at starts reading a commit, and fetches it first if the cache doesn't have it.
func (s *session) at(ctx context.Context, sha string) (*objects, error) {
	o, err := s.objects(ctx)
	if err != nil {
		return nil, err
	}
	if isSHA(sha) {
		kind, _, err := o.get(sha)
		if kind == "commit" {
			return o, nil
		}
		if err != nil {
			o.close()
			return nil, err
		}
	}
	o.close()
	if err := s.ensure(ctx, sha); err != nil {
		return nil, err
	}
	return s.objects(ctx)
}

func (o *objects) close() {
	if o.closed {
		return
	}
	o.closed = true
	o.in.Close()
	_ = o.cmd.Wait()
	o.s.ended(o.cmd)
}

// broken makes an Error of a process that stopped answering.
func (o *objects) broken() error {
	o.close() // only then its standard error is complete
	if err := o.died(); err != nil {
		return err
	}
	return o.s.damaged(diagnose(o.stderr.String()))
}

// get returns an object's type and content; the type is empty when the cache doesn't have it.
func (o *objects) get(name string) (string, []byte, error) {
	if _, err := io.WriteString(o.in, name+"\n"); err != nil {
		return "", nil, o.broken()
	}
	line, err := o.out.ReadString('\n')
	if err != nil {
		return "", nil, o.broken()
	}
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return "", nil, nil // "<name> missing"
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil || size > maxOutput {
		return "", nil, &Error{Kind: TooBig, Remote: o.s.r.address.shown, Detail: "an object of more than 64 MB is in the way"}
	}
	content := make([]byte, size+1)
	if _, err := io.ReadFull(o.out, content); err != nil {
		return "", nil, o.broken()
	}
	return fields[1], content[:size], nil
}

// tree returns the entries of a tree, or of a commit's tree with "<commit>^{tree}".
func (o *objects) tree(name string) ([]entry, error) {
	if known, ok := o.trees[name]; ok {
		return known, nil
	}
	kind, raw, err := o.get(name)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(raw)
	if kind != "tree" || err != nil {
		return nil, o.s.damaged(nil)
	}
	o.trees[name] = entries
	return entries, nil
}
