package resolve

import "errors"

// tracked keeps to one tag, whose digest is what changes.
type tracked struct{ tag string }

func newTracked(constraint string) (strategy, error) {
	if constraint == "" {
		return nil, errors.New("update-strategy digest follows one tag and needs its name: write it behind the image, as in image-list <image>:<tag>")
	}
	return tracked{constraint}, nil
}

func (t tracked) rank(candidates []*candidate) ([]*candidate, rejections, error) {
	var ranked []*candidate
	var dropped rejections
	reason := "not the tracked tag " + quote(t.tag)
	for _, c := range candidates {
		if c.name == t.tag {
			ranked = append(ranked, c)
			continue
		}
		dropped.add(c.name, outOfRange, reason)
	}
	return ranked, dropped, nil
}
