package image

import (
	"testing"

	"github.com/agnivade/levenshtein"
)

func FuzzWithin(f *testing.F) {
	f.Add("IMAGE_LIST", "IMAGE_LSIT")
	f.Add("PLATFORMS", "PLATFORM")
	f.Add("", "AB")
	f.Add("ABCD", "DCBA")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			for i := range len(s) {
				if s[i] >= 0x80 {
					t.Skip("names are ASCII")
				}
			}
		}
		distance := levenshtein.ComputeDistance(a, b)
		for edits := range 3 {
			if got := within(edits, a, b); got != (distance <= edits) {
				t.Errorf("%q, %q: distance %d, within %d: %t", a, b, distance, edits, got)
			}
		}
	})
}
