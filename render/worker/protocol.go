package worker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tagpin/tagpin/render"
)

// maxFrame bounds a message, in bytes: manifests at render.DefaultMaxOutput, with room to spare.
const maxFrame = 192 << 20

// An answer is what a worker sends for one request. Of an error its text crosses, what a CrashError holds for the log, and what a
// NeedsError wants.
type answer struct {
	Result render.Result
	Error  string
	Crash  *crash
	Needs  []render.Need
}

type crash struct {
	Path  string
	Stack []byte
}

func answerOf(res render.Result, err error) answer {
	if err == nil {
		return answer{Result: res}
	}
	a := answer{Error: err.Error()}
	var c *render.CrashError
	if errors.As(err, &c) {
		a.Crash = &crash{Path: c.Path, Stack: c.Stack}
	}
	var needs *render.NeedsError
	if errors.As(err, &needs) {
		a.Needs = needs.Needs
	}
	return a
}

func (a answer) unpack() (render.Result, error) {
	switch {
	case a.Crash != nil:
		return render.Result{}, &render.CrashError{Path: a.Crash.Path, Stack: a.Crash.Stack}
	case a.Needs != nil:
		return render.Result{}, &render.NeedsError{Needs: a.Needs}
	case a.Error != "":
		return render.Result{}, errors.New(a.Error)
	}
	return a.Result, nil
}

// sendAnswer writes an answer in two messages: the manifests are no JSON, which would make them longer and both sides slower.
func sendAnswer(w io.Writer, a answer) error {
	manifests := a.Result.Manifests
	a.Result.Manifests = nil
	if err := send(w, a); err != nil {
		return err
	}
	return sendBytes(w, manifests)
}

// receiveAnswer reads what sendAnswer wrote.
func receiveAnswer(r io.Reader, a *answer) error {
	if err := receive(r, a); err != nil {
		return err
	}
	manifests, err := receiveBytes(r)
	a.Result.Manifests = manifests
	return err
}

// send writes v as JSON.
func send(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return sendBytes(w, body)
}

// sendBytes writes a message behind its length, eight bytes, the greatest first.
func sendBytes(w io.Writer, body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("a message of %d MiB is more than the limit of %d MiB", len(body)>>20, maxFrame>>20)
	}
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(body)))); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// receive reads what send wrote.
func receive(r io.Reader, v any) error {
	body, err := receiveBytes(r)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func receiveBytes(r io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint64(head[:])
	if size > maxFrame {
		return nil, fmt.Errorf("a message of %d bytes is more than the limit of %d", size, maxFrame)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}
