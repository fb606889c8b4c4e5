package render

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A step is one key of a map, or one index of a list if the key is empty.
type step struct {
	key   string
	index int
}

func (s step) isIndex() bool { return s.key == "" }

// pathSegment is one name between dots, with the indexes behind it; a backslash takes the next character as it is.
var pathSegment = regexp.MustCompile(`^((?:\\.|[^\\.\[\]{}=,])+)((?:\[[0-9]{1,4}\])*)(\.|$)`)

var errNotPath = errors.New(`is not a path of Helm values: write names with dots between them and indexes in brackets, ` +
	`as in containers[0].image, and a backslash before any of .[]{}=, in a name`)

// parsePath reads a dotted path in the grammar of Helm's --set: "image.tag", "containers[0].image", `annotations.a\.b/c`.
func parsePath(s string) ([]step, error) {
	var steps []step
	for rest := s; ; {
		m := pathSegment.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q %w", s, errNotPath)
		}
		steps = append(steps, step{key: unescape(m[1])})
		for _, digits := range strings.FieldsFunc(m[2], func(c rune) bool { return c == '[' || c == ']' }) {
			index, err := strconv.Atoi(digits)
			if err != nil {
				return nil, fmt.Errorf("%q %w", s, errNotPath)
			}
			steps = append(steps, step{index: index})
		}
		if m[3] == "" {
			return steps, nil
		}
		rest = rest[len(m[0]):]
	}
}

func unescape(s string) string {
	var out strings.Builder
	escaped := false
	for _, c := range s {
		if c == '\\' && !escaped {
			escaped = true
			continue
		}
		out.WriteRune(c)
		escaped = false
	}
	return out.String()
}
