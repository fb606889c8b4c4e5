package resolve

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
)

// numerical ranks decimal numbers of any length, without rounding.
type numerical struct{}

// decimal leaves out what a float parser would also take: exponents (the short commit 1234e56 is no number), hexadecimal,
// infinity.
var decimal = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?$`)

var errNoNumber = errors.New("not a number")

func (numerical) rank(candidates []*candidate) ([]*candidate, rejections, error) {
	numbers, dropped := parse(candidates, readNumber, errNoNumber.Error())
	slices.SortStableFunc(numbers, func(a, b keyed[*big.Rat]) int { return b.value.Cmp(a.value) })
	ranked := make([]*candidate, len(numbers))
	for i, n := range numbers {
		ranked[i] = n.candidate
	}
	return ranked, dropped, nil
}

func readNumber(key string) (*big.Rat, error) {
	if !decimal.MatchString(key) {
		return nil, errNoNumber
	}
	n, ok := new(big.Rat).SetString(key)
	if !ok {
		return nil, errNoNumber
	}
	return n, nil
}
