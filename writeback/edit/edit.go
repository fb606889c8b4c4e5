// Package edit changes single values in YAML files that people wrote: call SetHelm for a values file, SetKustomizeImage for a
// kustomization, SetPins for tagpin's own pin file, after Target.Resolve has said which file that is. ParsePins and Match read
// pins, GetValue reads a values file.
//
// The functions take and return bytes. They replace exactly the bytes of the scalar that must change, or add the lines that are
// missing, and leave everything else: comments, order, quotes, blank lines, line endings. No file is ever marshalled again. The
// YAML library says where a node starts; where it ends is found in the text. As a guard against every error in that, the result
// is parsed again, and unless the wished values and nothing else changed the edit is refused. A Refusal says why, and what a
// person can do.
package edit

import "fmt"

// A Refusal is why a file was left as it is. The name of the file is the caller's to add.
type Refusal struct {
	// Path is the value in question, or empty when the file as a whole is.
	Path string
	// Line is where it stands, counted from 1; zero when there is no such place.
	Line int
	// Reason ends with what to change.
	Reason string
}

func (r *Refusal) Error() string {
	switch {
	case r.Path != "" && r.Line > 0:
		return fmt.Sprintf("%s (line %d) %s", r.Path, r.Line, r.Reason)
	case r.Path != "":
		return r.Path + " " + r.Reason
	case r.Line > 0:
		return fmt.Sprintf("line %d: %s", r.Line, r.Reason)
	}
	return r.Reason
}

func refuse(path string, line int, format string, args ...any) error {
	return &Refusal{Path: path, Line: line, Reason: fmt.Sprintf(format, args...)}
}

// A splice replaces the bytes from start to end.
type splice struct {
	start, end int
	text       string
}

func (s splice) apply(src []byte) []byte {
	out := make([]byte, 0, len(src)-(s.end-s.start)+len(s.text))
	out = append(out, src[:s.start]...)
	out = append(out, s.text...)
	return append(out, src[s.end:]...)
}

// change parses data, asks op for one splice and applies it. Several changes are made one after another, each on a fresh parse:
// positions are never carried over an edit. A nil splice means that there is nothing to do.
func change(data []byte, op func(*file) (*splice, error)) ([]byte, error) {
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	s, err := op(f)
	if err != nil || s == nil {
		return data, err
	}
	return s.apply(data), nil
}
