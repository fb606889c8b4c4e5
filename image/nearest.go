package image

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the known name that is least edits away from name, if that is near enough to be meant; else "".
// Upper and lower case, '_' and '-' count as equal here.
func nearest(name string, known []string) string {
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	const longest = 128 // the work grows with the product of the lengths, and longer names are no slips
	if len(name) > longest {
		return ""
	}
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if abs(len(name)-len(k)) >= least {
			continue
		}
		if d := levenshtein.ComputeDistance(fold(name), fold(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// didYouMean is the end of an error about an unknown name: the nearest known one, or all of them.
func didYouMean(name string, known []string) string {
	if n := nearest(name, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "known are " + strings.Join(known, ", ")
}

func abs(n int) int { return max(n, -n) }
