package reconcile

import (
	"context"

	"github.com/tagpin/tagpin/image"
)

// A Proposal is what a check would do with one image.
type Proposal struct {
	Choice image.Choice
	// Change is nil when nothing is to be written. Reason then says why, where that isn't plain.
	Change *image.Change
	Reason string
}

// Propose decides on the images of one application by the rules of a check, without a loop and without a branch's history:
// pins are what the files of a checkout say. A pin that differs counts as tagpin's own, since it is a person who asks.
func Propose(ctx context.Context, r Resolver, u image.Update, pins []*image.Pin) ([]Proposal, error) {
	var err error
	if u.Choices, err = choices(ctx, r, u); err != nil {
		return nil, err
	}
	proposals := make([]Proposal, len(pins))
	for i, pin := range pins {
		v, err := decide(ctx, r, question{
			update: u, index: i, pin: pin,
			last: func(context.Context) (*image.Pin, bool, error) { return pin, true, nil },
		})
		if err != nil {
			return nil, err
		}
		proposals[i] = Proposal{Choice: u.Choices[i], Change: v.change, Reason: v.reason}
	}
	return proposals, nil
}
