package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/argoproj/argo-cd/v2/cmpserver/apiclient"
)

// A receiver is the receiving side of the three streaming calls.
type receiver interface {
	Recv() (*apiclient.AppStreamRequest, error)
	Context() context.Context
}

// An upload is one stream: metadata first, then an archive in chunks, which it gives as an io.Reader.
type upload struct {
	metadata *apiclient.ManifestRequestMetadata
	in       receiver
	hash     hash.Hash
	bytes    int64
	rest     []byte
	err      error // of Recv; io.EOF at the end
	// received is closed when nothing more can come.
	received chan struct{}
}

func newUpload(in receiver) *upload {
	return &upload{in: in, hash: sha256.New(), received: make(chan struct{})}
}

// next receives one message.
func (u *upload) next() (*apiclient.AppStreamRequest, error) {
	if u.err != nil {
		return nil, u.err
	}
	message, err := u.in.Recv()
	if err != nil {
		u.err = err
		close(u.received)
	}
	return message, err
}

// begin waits for the metadata.
func (u *upload) begin() error {
	first, err := u.next()
	if err != nil {
		return fmt.Errorf("receiving the request: %w", err)
	}
	if u.metadata = first.GetMetadata(); u.metadata == nil {
		return errors.New("the request does not begin with its metadata")
	}
	return nil
}

// Read gives the archive's bytes.
func (u *upload) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		message, err := u.next()
		if err != nil {
			return 0, err
		}
		u.rest = message.GetFile().GetChunk()
		u.hash.Write(u.rest)
		u.bytes += int64(len(u.rest))
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

// drain receives what is left. A call that ends before its client has sent everything makes the client fail with
// "error sending stream: EOF", and nobody learns what was wrong; so every call is drained, above all one that failed.
func (u *upload) drain() error {
	if _, err := io.Copy(io.Discard, u); err != nil {
		return fmt.Errorf("receiving the repository: %w", err)
	}
	return nil
}

// verify compares the checksum once everything is drained.
func (u *upload) verify() error {
	if got := hex.EncodeToString(u.hash.Sum(nil)); got != u.metadata.GetChecksum() {
		return errors.New("the repository's files arrived damaged (their checksum differs): refresh the application")
	}
	return nil
}

// env are the entries of the metadata; the last of a name counts.
func (u *upload) env() map[string]string {
	env := map[string]string{}
	for _, e := range u.metadata.GetEnv() {
		env[e.GetName()] = e.GetValue()
	}
	return env
}

// whileLasts reads from r until ctx ends.
func whileLasts(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
