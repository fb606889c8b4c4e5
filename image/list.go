package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// aliasPattern has no ":" and no "=", so that "some/image:>=1.0" is an image with a constraint, and never an alias.
var aliasPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$`)

// constraintStart tells the second half of a range that a comma cut in two.
var constraintStart = regexp.MustCompile(`^([<>=!~^*|]|v?[0-9]+$|v?[0-9]+(\.[0-9xX*]+)+(-[0-9A-Za-z.-]+)?$)`)

// maxImages bounds the work that one application can cause; a large chart has some twenty images.
const maxImages = 200

// A Listed is one entry of an image-list: Image.Tag is the constraint, or empty.
type Listed struct {
	Alias string
	Image Image
}

// ParseEntry reads one entry of an image-list, [<alias>=]<image>[:<constraint>]. The constraint may hold any character of a
// version range, commas included. An alias consists of letters, digits, '_', '.', '/' and '-'.
func ParseEntry(s string) (Listed, error) {
	alias, rest, found := strings.Cut(strings.TrimSpace(s), "=")
	switch {
	case found && aliasPattern.MatchString(alias):
		if strings.TrimSpace(rest) == "" {
			return Listed{}, fmt.Errorf("image-list entry %q: no image follows the alias: write %s=<image>", shorten(s), alias)
		}
	case found && !strings.Contains(alias, ":"):
		return Listed{}, fmt.Errorf("image-list entry %q: %q cannot be an alias: "+
			"up to 128 letters, digits, '_', '.', '/' and '-' are, the first one a letter or digit", shorten(s), shorten(alias))
	default: // the "=", if any, is part of the constraint
		alias, rest = "", s
	}
	img, err := parseReference(strings.TrimSpace(rest))
	switch {
	case err == nil:
		return Listed{Alias: alias, Image: img}, nil
	case found && alias == "":
		err = fmt.Errorf("%w (and an alias has no colon)", err)
	case strings.Contains(s, ","):
		err = fmt.Errorf("%w (an array has one image per item)", err)
	}
	return Listed{}, fmt.Errorf("image-list entry %q: %w", shorten(s), err)
}

// ParseList reads an image-list of comma-separated entries. Empty entries, as after a last comma, are skipped. A constraint
// cannot hold a comma here: ranges are written with a space (">=1.0 <2.0"), or the list as an array for ParseItems.
func ParseList(s string) ([]Listed, error) {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		if len(items) > 0 && constraintStart.MatchString(item) {
			return nil, fmt.Errorf("image-list entry %q looks like the rest of the constraint of %q: a comma separates images; "+
				"put a space between the two parts of a range, or write the image-list as an array", item, items[len(items)-1])
		}
		items = append(items, item)
	}
	return ParseItems(items)
}

// ParseItems reads an image-list given as an array: each item is one entry. No entry at all, an empty item, an alias given
// twice and an image listed twice without an alias are errors.
func ParseItems(items []string) ([]Listed, error) {
	if len(items) == 0 {
		return nil, errors.New("image-list is empty: name at least one image, or remove image-list")
	}
	if len(items) > maxImages {
		return nil, fmt.Errorf("image-list has %d entries: at most %d are allowed", len(items), maxImages)
	}
	list := make([]Listed, 0, len(items))
	seen := map[string]bool{}
	for n, item := range items {
		if strings.TrimSpace(item) == "" {
			return nil, fmt.Errorf("image-list item %d is empty", n+1)
		}
		listed, err := ParseEntry(item)
		if err != nil {
			return nil, err
		}
		id := listed.Alias + "=" // no alias can hold it, so the two kinds of names cannot clash
		if listed.Alias == "" {
			id = "=" + listed.Image.Host() + "/" + listed.Image.CanonicalRepository()
		}
		if seen[id] {
			return nil, duplicate(listed)
		}
		seen[id] = true
		list = append(list, listed)
	}
	return list, nil
}

func duplicate(l Listed) error {
	if l.Alias == "" {
		return fmt.Errorf("image-list names %s twice: give each an alias, <alias>=%s", l.Image.Name(), l.Image.Name())
	}
	return fmt.Errorf("image-list has the alias %q twice: an alias names one image", l.Alias)
}
