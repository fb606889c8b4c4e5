package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

const session = "before\n\x1b[1m▸ pushed\x1b[0m\n  \x1b[32m+tag: <v2.0>\x1b[m\n\n  " + "after\n"

func TestDraw(t *testing.T) {
	lines, err := read(strings.NewReader(session+strings.Repeat("x", 200)+"\nend\nmore"), "pushed", "end")
	if err != nil || len(lines) != 6 {
		t.Fatalf("%q, %v", lines, err)
	}
	picture := string(draw("make demo", lines))
	for dec := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v", err)
		}
	}
	for _, want := range []string{`<tspan font-weight="bold">▸ pushed</tspan>`, `<tspan fill="#7ee787">+tag: &lt;v2.0&gt;</tspan>`, "<tspan>" + strings.Repeat("x", 200-columns) + "</tspan>", "  after"} {
		if !strings.Contains(picture, want) {
			t.Errorf("no %s in\n%s", want, picture)
		}
	}
	for _, not := range []string{"before", "more", "\x1b", strings.Repeat("x", columns+1)} {
		if strings.Contains(picture, not) {
			t.Errorf("%q is in the picture", not)
		}
	}
}

// A demo that failed makes no picture.
func TestReadIncomplete(t *testing.T) {
	for _, to := range []string{"never", "before"} {
		if lines, err := read(strings.NewReader(session), "pushed", to); err == nil {
			t.Errorf("%q", lines)
		}
	}
}
