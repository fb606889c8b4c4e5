package worker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tagpin/tagpin/render"
)

// maxFrame bounds a message, in bytes: manifests at render.DefaultMaxOutput in JSON's base64, with room for the rest.
const maxFrame = 192 << 20

// An answer is what a worker sends for one request. Of an error its text crosses, and what a CrashError holds for the log.
type answer struct {
	Result render.Result
	Error  string
	Crash  *crash
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
	return a
}

func (a answer) unpack() (render.Result, error) {
	switch {
	case a.Crash != nil:
		return render.Result{}, &render.CrashError{Path: a.Crash.Path, Stack: a.Crash.Stack}
	case a.Error != "":
		return render.Result{}, errors.New(a.Error)
	}
	return a.Result, nil
}

// send writes v as JSON behind its length, eight bytes, the greatest first.
func send(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("a message of %d MiB is more than the limit of %d MiB", len(body)>>20, maxFrame>>20)
	}
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(body)))); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// receive reads what send wrote.
func receive(r io.Reader, v any) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint64(head[:])
	if size > maxFrame {
		return fmt.Errorf("a message of %d bytes is more than the limit of %d", size, maxFrame)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}
