package resolve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tagpin/tagpin/image"
)

// A stage is how far a tag got before it was dropped.
type stage int

// The stages in the order of the pipeline.
const (
	malformed stage = iota
	notAllowed
	ignored
	unparsed
	outOfRange
	preRelease
	unknown
	misdated
	otherPlatform
	tooYoung
)

// A rejection's reason is a phrase that fits behind a number ("9 outside the constraint ^3"). What differs from tag to tag
// stands behind a colon.
type rejection struct {
	tag    string
	at     stage
	reason string
}

type rejections []rejection

func (r *rejections) add(tag string, at stage, reason string) {
	*r = append(*r, rejection{tag, at, reason})
}

// nearestFirst puts those first that came furthest; within a stage the order is that of rank already.
func (r rejections) nearestFirst() []image.Rejection {
	slices.SortStableFunc(r, func(a, b rejection) int { return int(b.at - a.at) })
	out := make([]image.Rejection, len(r))
	for i, x := range r {
		out[i] = image.Rejection{Tag: x.tag, Reason: x.reason}
	}
	return out
}

// NoMatch makes an error of a choice without a tag, for callers that can't go on without one: how many tags were dropped for
// which reason, and those that came nearest.
func NoMatch(c image.Choice) error {
	asked := "strategy " + string(c.Strategy)
	if c.Constraint != "" {
		asked += ", constraint " + c.Constraint
	}
	if len(c.Rejected) == 0 {
		return fmt.Errorf("no tag of %s qualifies (%s): the repository has no tags; push one, or correct the image's name", c.Image.Name(), asked)
	}
	noun := "tags"
	if len(c.Rejected) == 1 {
		noun = "tag"
	}
	return fmt.Errorf("no tag of %s qualifies (%s): %d %s: %s; nearest: %s; push a tag that qualifies, or loosen what dropped these",
		c.Image.Name(), asked, len(c.Rejected), noun, counts(c.Rejected), nearest(c.Rejected))
}

// counts gives the most frequent reasons.
func counts(rejected []image.Rejection) string {
	const most = 6
	number := map[string]int{}
	var reasons []string // in the order of the rejections, so that the text is always the same
	for _, r := range rejected {
		reason, _, _ := strings.Cut(r.Reason, ": ")
		if number[reason] == 0 {
			reasons = append(reasons, reason)
		}
		number[reason]++
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return number[b] - number[a] })
	var parts []string
	rest := len(rejected)
	for _, reason := range reasons[:min(most, len(reasons))] {
		parts = append(parts, strconv.Itoa(number[reason])+" "+reason)
		rest -= number[reason]
	}
	if rest > 0 {
		parts = append(parts, strconv.Itoa(rest)+" for other reasons")
	}
	return strings.Join(parts, ", ")
}

func nearest(rejected []image.Rejection) string {
	const closest = 3
	return few(rejected[:min(closest, len(rejected))], func(r image.Rejection) string { return r.Tag + " (" + r.Reason + ")" })
}

// few lists the first of what may be very many.
func few[T any](list []T, text func(T) string) string {
	const most = 5
	parts := make([]string, 0, most+1)
	for _, x := range list[:min(most, len(list))] {
		parts = append(parts, text(x))
	}
	if len(list) > most {
		parts = append(parts, fmt.Sprintf("%d more", len(list)-most))
	}
	return strings.Join(parts, ", ")
}

// quote makes outside text fit to be shown: one line, printable, not long.
func quote(s string) string { return `"` + printable(s) + `"` }

func printable(s string) string {
	const long = 128
	more := ""
	if len(s) > long {
		s, more = s[:long], "…"
	}
	q := strconv.QuoteToASCII(s)
	return q[1:len(q)-1] + more
}
