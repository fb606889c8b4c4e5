package reconcile

import (
	"context"
	"fmt"

	"github.com/tagpin/tagpin/image"
)

// A verdict says what becomes of one image.
type verdict struct {
	state  image.State
	change *image.Change // set when state is Updated
	reason string
}

// A question is all that a verdict on one image depends on.
type question struct {
	update image.Update
	index  int
	pin    *image.Pin // at the tip
	// last is what tagpin wrote last; it is asked for only when the pin and the choice differ.
	last func(context.Context) (*image.Pin, bool, error)
}

func (q question) entry() image.Entry   { return q.update.Options.Images[q.index] }
func (q question) choice() image.Choice { return q.update.Choices[q.index] }

// decide applies the rules in their order: hold; nothing chosen; the first pin; the same tag; a person's pin; never back.
func decide(ctx context.Context, r Resolver, q question) (verdict, error) {
	choice, entry := q.choice(), q.entry()
	switch {
	case q.pin != nil && q.pin.Hold:
		return verdict{state: image.Held, reason: "the pin says hold: true"}, nil
	case entry.Hold:
		return verdict{state: image.Held, reason: "the parameter hold is true"}, nil
	case q.pin == nil: // also after a person deleted the pin file: begin again
		return q.write(choice), nil
	case q.pin.Tag == choice.Tag:
		return q.sameTag(ctx)
	}
	last, unknown, err := q.hand(ctx)
	if err != nil || unknown.state != "" {
		return unknown, err
	}
	rejected := ""
	if last != nil && last.Tag != q.pin.Tag {
		rejected = last.Tag
	}
	return q.forward(ctx, r, rejected)
}

// hand finds the pin that tagpin wrote last; nil where it wrote none. Where the history doesn't tell, unknown is the verdict: then
// a person's hand is taken for granted.
func (q question) hand(ctx context.Context) (last *image.Pin, unknown verdict, err error) {
	last, complete, err := q.last(ctx)
	switch {
	case err != nil:
		return nil, verdict{}, fmt.Errorf("looking for a person's hand: %w", err)
	case last == nil && !complete:
		return nil, verdict{state: image.Held, reason: fmt.Sprintf("the commits that were read don't tell who pinned %s, so it counts as a "+
			"person's: delete the pin to let tagpin begin again", q.pin.Tag)}, nil
	}
	return last, verdict{}, nil
}

// sameTag follows a moved tag only where the policy pins digests, and not to a digest that a person took away.
func (q question) sameTag(ctx context.Context) (verdict, error) {
	choice, policy := q.choice(), q.entry().Policy
	switch {
	case choice.Digest == "" || choice.Digest == q.pin.Digest:
		return verdict{state: image.UpToDate}, nil
	case !policy.PinDigest && policy.Strategy != image.Digest:
		v := verdict{state: image.UpToDate}
		if q.pin.Digest != "" {
			v.reason = fmt.Sprintf("the tag %s was moved to another image since it was pinned: set pin-digest to follow it", q.pin.Tag)
		}
		return v, nil
	case q.pin.Digest == "":
		return q.write(choice), nil
	}
	last, unknown, err := q.hand(ctx)
	if err != nil || unknown.state != "" {
		return unknown, err
	}
	if last != nil && last.Tag == choice.Tag && last.Digest == choice.Digest {
		return verdict{state: image.Held, reason: fmt.Sprintf("a person took %s@%s away: %s stays until the tag moves again",
			choice.Tag, choice.Digest, q.pin.Digest)}, nil
	}
	return q.write(choice), nil
}

// forward lets the choice in when it is newer than the pin, and newer than the tag that a person took away, if one did.
func (q question) forward(ctx context.Context, r Resolver, rejected string) (verdict, error) {
	choice, entry := q.choice(), q.entry()
	if rejected != "" {
		newer := false
		var err error
		if choice.Tag != rejected {
			newer, err = r.Newer(ctx, q.update.App, entry, choice.Tag, rejected)
		}
		if err != nil || !newer {
			return verdict{state: image.Held, reason: fmt.Sprintf("a person replaced %s with %s: it stays until a tag newer than %s appears",
				rejected, q.pin.Tag, rejected)}, ctx.Err()
		}
	}
	newer, err := r.Newer(ctx, q.update.App, entry, choice.Tag, q.pin.Tag)
	switch {
	case ctx.Err() != nil:
		return verdict{}, ctx.Err()
	case err != nil:
		return verdict{state: image.Held, reason: fmt.Sprintf("%s can't be compared with the pinned %s (%v): delete the pin to begin again",
			choice.Tag, q.pin.Tag, err)}, nil
	case !newer:
		return verdict{state: image.Held, reason: fmt.Sprintf("the pinned %s is newer than %s, the newest that is allowed: pin an older tag "+
			"yourself if that is what you want", q.pin.Tag, choice.Tag)}, nil
	}
	return q.write(choice), nil
}

func (q question) write(choice image.Choice) verdict {
	entry := q.entry()
	c := image.Change{
		App:        q.update.App,
		Index:      q.index,
		To:         image.Pin{Alias: entry.Alias, Image: entry.Image.Name(), Tag: choice.Tag, Digest: choice.Digest},
		Strategy:   choice.Strategy,
		Constraint: choice.Constraint,
	}
	if q.pin != nil {
		c.From = *q.pin
	}
	return verdict{state: image.Updated, change: &c}
}
