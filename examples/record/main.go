// Command record draws what a terminal shows as an SVG picture: standard input with its colours, from the first line that
// contains -from to the one before -to.
//
//	make record
package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// A picture's measures, in characters and pixels. Longer lines are broken as a terminal breaks them: nobody can read a wider
// picture in a README.
const (
	columns    = 112
	charWidth  = 8.4
	lineHeight = 18
	margin     = 16
	titleBar   = 36
)

// colours are those of SGR codes; everything else is the default. 1 is bold.
var colours = map[string]string{"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}

func main() {
	from, to := flag.String("from", "", "begin with the line that contains this"), flag.String("to", "", "end before the line that contains this")
	title := flag.String("title", "", "what the window is called")
	flag.Parse()
	lines, err := read(os.Stdin, *from, *to)
	if err == nil {
		_, err = os.Stdout.Write(draw(*title, lines))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

// read returns the lines that are wanted. An input in which they aren't is an error: the picture would show something else.
func read(r io.Reader, from, to string) ([]string, error) {
	var lines []string
	began, ended := from == "", to == ""
	for scan := bufio.NewScanner(r); scan.Scan(); {
		line := strings.TrimRight(scan.Text(), " ")
		began = began || strings.Contains(line, from)
		if began && to != "" && strings.Contains(line, to) {
			ended = true
			break
		}
		if began {
			lines = append(lines, wrap(line)...)
		}
	}
	if !began || !ended {
		return nil, fmt.Errorf("the input lacks %q or %q: did the command fail?", from, to)
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines, nil
}

// wrap breaks a line without colours; those with colours are short.
func wrap(line string) []string {
	text := []rune(line)
	if len(text) <= columns || strings.Contains(line, "\x1b") {
		return []string{line}
	}
	return append([]string{string(text[:columns])}, wrap(string(text[columns:]))...)
}

func draw(title string, lines []string) []byte {
	width, height := columns*charWidth+2*margin, float64(titleBar+len(lines)*lineHeight+2*margin)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", escape(title))
	b.WriteString("<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e6edf3;white-space:pre}</style>\n")
	b.WriteString(`<rect width="100%" height="100%" rx="8" fill="#0d1117"/>` + "\n")
	for i, colour := range []string{"#ff5f56", "#ffbd2e", "#27c93f"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="20" r="6" fill="%s"/>`+"\n", 22+20*i, colour)
	}
	fmt.Fprintf(&b, `<text x="%.0f" y="25" text-anchor="middle" opacity=".7">%s</text>`+"\n", width/2, escape(title))
	for i, line := range lines {
		if line != "" {
			fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", margin, titleBar+margin+i*lineHeight+13, spans(line))
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

var sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// spans turns the colours of a line into elements.
func spans(line string) string {
	var b strings.Builder
	style := ""
	for line != "" {
		text, code, rest := line, "", ""
		if at := sgr.FindStringSubmatchIndex(line); at != nil {
			text, code, rest = line[:at[0]], line[at[2]:at[3]], line[at[1]:]
		}
		if text != "" {
			fmt.Fprintf(&b, "<tspan%s>%s</tspan>", style, escape(text))
		}
		style, line = attributes(code), rest
	}
	return b.String()
}

func attributes(code string) string {
	if code == "1" {
		return ` font-weight="bold"`
	}
	if colour := colours[code]; colour != "" {
		return ` fill="` + colour + `"`
	}
	return ""
}

func escape(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
