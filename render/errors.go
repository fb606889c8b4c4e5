package render

import (
	"regexp"
	"strings"
)

// maxError bounds an error's text, in bytes: a template can fail with megabytes.
const maxError = 4 << 10

var (
	// templatePlace is how text/template begins each link of its chain of errors.
	templatePlace = regexp.MustCompile(`template: (\S+?:\d+(?::\d+)?): `)
	executing     = regexp.MustCompile(`^executing "[^"]*" `)
)

// shorten turns text/template's chain of calls into the innermost place and what went wrong there.
func shorten(err error) error {
	text := err.Error()
	places := templatePlace.FindAllStringSubmatchIndex(text, -1)
	if len(places) > 0 {
		last := places[len(places)-1]
		where := text[last[2]:last[3]]
		what := executing.ReplaceAllString(text[last[1]:], "")
		text = where + ": " + what
		if outer := places[0]; len(places) > 1 {
			text += " (included from " + err.Error()[outer[2]:outer[3]] + ")"
		}
	}
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	if text = strings.TrimSpace(text); text == err.Error() {
		return err
	}
	return &shortError{text: strings.ToValidUTF8(text, ""), err: err}
}

// A shortError says less than what it wraps.
type shortError struct {
	text string
	err  error
}

func (e *shortError) Error() string { return e.text }
func (e *shortError) Unwrap() error { return e.err }
