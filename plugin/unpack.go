package plugin

import (
	"context"
	"os"

	"github.com/tagpin/tagpin/plugin/archive"
)

// unpack fills dir. The whole stream is received before anything is used, since its checksum counts for all of it; and a
// damaged archive is told as such, whatever error the damage caused.
//
// What is not unpacked, although the job may need it, is in the rest; nil where nothing is.
func (s *service) unpack(ctx context.Context, up *upload, dir Dir, u unpacking) (*rest, error) {
	root, err := os.OpenRoot(dir.Root)
	if err != nil {
		return nil, err
	}
	left := &rest{root: root}
	keep := func(name string) bool { return u.keep(dir.Path, name) }
	if u.rest {
		left.Rest, err = archive.UnpackFirst(whileLasts(ctx, up), root, s.limits, keep)
	} else {
		err = archive.UnpackSome(whileLasts(ctx, up), root, s.limits, keep)
	}
	if drained := up.drain(); drained != nil {
		err = drained
	} else if damaged := up.verify(); damaged != nil {
		err = damaged
	}
	if err == nil && u.rest {
		err = unpackReferences(left.Rest, root, dir.Path, up.env())
	}
	if err != nil {
		left.Close()
		return nil, hidePath(err, dir.Root)
	}
	return left, nil
}

// unpacking says what a job needs.
type unpacking struct {
	keep func(dir, name string) bool
	rest bool
}

// A rest is archive.Rest with the directory that it is unpacked to; there may be none.
type rest struct {
	*archive.Rest
	root *os.Root
}

// Len is how many files have not been unpacked.
func (r *rest) Len() int {
	if r.Rest == nil {
		return 0
	}
	return r.Rest.Len()
}

// Close gives the space back.
func (r *rest) Close() {
	if r.Rest != nil {
		r.Rest.Close()
	}
	r.root.Close()
}
