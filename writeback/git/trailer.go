package git

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Change is one image of one application that got another pin. The same record feeds the commit message, its trailer and the log.
type Change struct {
	// Application is ARGOCD_APP_NAME: "app" or "ns_app".
	Application string `json:"application"`
	Alias       string `json:"alias,omitempty"`
	// Image is the repository with its registry as the pin has it, without tag.
	Image  string `json:"image"`
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Target is what was written to, where several applications may write to the same: "helm/values.yaml#image.tag".
	Target string `json:"target,omitempty"`
	// PreviousTag and PreviousDigest are what the file held before; both are empty for a first pin.
	PreviousTag    string `json:"previousTag,omitempty"`
	PreviousDigest string `json:"previousDigest,omitempty"`
	// Strategy, Constraint and Labels (of the new image's configuration) are for the message alone.
	Strategy   string            `json:"-"`
	Constraint string            `json:"-"`
	Labels     map[string]string `json:"-"`
}

// trailerKey begins the line of a commit message that holds a Change as JSON.
const trailerKey = "Tagpin-Change: "

// boundKey begins the line that says which commit the trailers belong to.
const boundKey = "Tagpin-Commit: "

// bindTo adds that line to a message that has trailers: they count only in a commit with this parent and these files, so they
// mean nothing when a message is used again in a cherry-pick, a squash merge or an amended commit.
func bindTo(message, parent, tree string) string {
	if changes, err := ParseTrailers(message); err != nil || len(changes) == 0 {
		return message
	}
	return strings.TrimRight(message, "\n") + "\n" + boundLine(parent, tree) + "\n"
}

func boundLine(parent, tree string) string {
	return fmt.Sprintf(`%s{"parent":"%s","tree":"%s"}`, boundKey, parent, tree)
}

// boundTo says whether the trailers of a message belong to the commit with this parent and these files.
func boundTo(message, parent, tree string) bool {
	var lines []string
	for line := range strings.SplitSeq(lastParagraph(message), "\n") {
		if strings.HasPrefix(line, boundKey) {
			lines = append(lines, line)
		}
	}
	return len(lines) == 1 && lines[0] == boundLine(parent, tree)
}

// maxTrailer bounds one line, maxTrailers their number.
const (
	maxTrailer  = 4096
	maxTrailers = 1000
)

// MaxTarget bounds Change.Target, in bytes.
const MaxTarget = 1024

var (
	appPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,510})$`)
	imagePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/\[\]-]{0,511}$`)
	aliasPattern  = regexp.MustCompile(`^[A-Za-z0-9._/-]{0,253}$`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func (c Change) check() error {
	optional := func(p *regexp.Regexp, text string) bool { return text == "" || p.MatchString(text) }
	switch {
	case !appPattern.MatchString(c.Application):
		return fmt.Errorf("application %q is no name of an application", c.Application)
	case !imagePattern.MatchString(c.Image):
		return fmt.Errorf("image %q is no repository", c.Image)
	case !aliasPattern.MatchString(c.Alias):
		return fmt.Errorf("%q is no alias", c.Alias)
	case c.Tag == "" && c.Digest == "":
		return errors.New("a change needs a tag or a digest")
	case !optional(tagPattern, c.Tag) || !optional(tagPattern, c.PreviousTag):
		return fmt.Errorf("%q or %q is no tag", c.Tag, c.PreviousTag)
	case !utf8.ValidString(c.Target) || len(c.Target) > MaxTarget || strings.ContainsFunc(c.Target, unicode.IsControl):
		return fmt.Errorf("%q is no target", clean(c.Target))
	case !optional(digestPattern, c.Digest) || !optional(digestPattern, c.PreviousDigest):
		return fmt.Errorf("%q or %q is no digest", c.Digest, c.PreviousDigest)
	}
	return nil
}

// Message makes a commit message: text, then a last paragraph with one trailer per change and, if signOff is set, that
// person's sign-off. text is what Template.Execute returned, or anything else that has no trailer of ours in it.
func Message(text string, changes []Change, signOff *Person) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("the commit message is empty")
	}
	if strings.Contains("\n"+strings.ToLower(text), "\n"+strings.ToLower(strings.TrimSpace(trailerKey))) {
		return "", fmt.Errorf("a line of the commit message begins with %s: only tagpin writes these", trailerKey)
	}
	if len(changes) > maxTrailers {
		return "", fmt.Errorf("%d changes are too many for one commit; at most %d", len(changes), maxTrailers)
	}
	var b strings.Builder
	b.WriteString(text + "\n\n")
	for _, c := range changes {
		if err := c.check(); err != nil {
			return "", err
		}
		var line bytes.Buffer
		encoder := json.NewEncoder(&line) // it ends the line, and escapes any other line break
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(c); err != nil {
			return "", err
		}
		b.WriteString(trailerKey + line.String())
	}
	if signOff != nil {
		fmt.Fprintf(&b, "Signed-off-by: %s <%s>\n", clean(signOff.Name), clean(signOff.Email))
	}
	return strings.TrimRight(b.String(), "\n") + "\n", nil
}

// ParseTrailers reads the changes from the last paragraph of a commit message, where Message put them: a message that quotes
// another one says nothing. One line that is not exactly what Message writes makes all of them an error. A message without
// trailers has no changes. What they claim counts only in the commit that they were written for: see CommitInfo.Changes.
func ParseTrailers(message string) ([]Change, error) {
	var changes []Change
	for line := range strings.SplitSeq(lastParagraph(message), "\n") {
		text, ok := strings.CutPrefix(line, trailerKey)
		if !ok {
			continue
		}
		c, err := parseChange(text)
		if err != nil {
			return nil, fmt.Errorf("trailer %d: %w", len(changes)+1, err)
		}
		if changes = append(changes, c); len(changes) > maxTrailers {
			return nil, fmt.Errorf("more than %d trailers", maxTrailers)
		}
	}
	return changes, nil
}

func lastParagraph(message string) string {
	message = strings.TrimRightFunc(message, unicode.IsSpace)
	if i := strings.LastIndex(message, "\n\n"); i >= 0 {
		message = message[i+2:]
	}
	return message
}

func parseChange(text string) (Change, error) {
	var c Change
	if len(text) > maxTrailer || !utf8.ValidString(text) {
		return c, fmt.Errorf("it must be UTF-8 of at most %d bytes", maxTrailer)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return Change{}, errors.New("it is not the JSON of a change")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Change{}, errors.New("something follows its JSON")
	}
	if err := c.check(); err != nil {
		return Change{}, err
	}
	return c, nil
}
