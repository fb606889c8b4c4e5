package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"go.yaml.in/yaml/v3"
)

const (
	// maxIndex is the largest index of a chart repository, in bytes. The largest public ones have some twenty megabytes.
	maxIndex = 32 << 20
	// maxIndexes is how many are kept in memory, parsed.
	maxIndexes = 32
)

// An index is what a chart repository says of its charts, as much of it as is needed. Helm's own package for it would read it from
// a file of its own and bring a Kubernetes client along.
type index struct {
	Entries map[string][]*chartVersion `yaml:"entries" json:"entries"`
}

type chartVersion struct {
	Version string   `yaml:"version" json:"version"`
	URLs    []string `yaml:"urls" json:"urls"`
	Digest  string   `yaml:"digest" json:"digest"`
}

var errIndex = errors.New("the server has no index of a chart repository there: check the URL")

// index gives the parsed index of a blob.
func (f *Fetcher) index(ctx context.Context, digest string) (*index, error) {
	got, _, err := f.indexes.GetOrLoad(ctx, digest, func(context.Context) (*index, error) {
		f.parsing.Lock() // a large one takes some hundred megabytes while it is parsed
		defer f.parsing.Unlock()
		path, err := f.store.blob(digest)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, disk(err)
		}
		return parseIndex(data)
	})
	return got, err
}

func parseIndex(data []byte) (*index, error) {
	var i index
	parse := yaml.Unmarshal
	if strings.HasPrefix(strings.TrimSpace(string(data[:min(len(data), 100)])), "{") {
		parse = json.Unmarshal
	}
	if err := parse(data, &i); err != nil || i.Entries == nil {
		return nil, errIndex
	}
	return &i, nil
}

// find gives the version that a dependency means: exactly that one if it is locked, else the newest that is allowed.
func (i *index) find(name, version string, locked bool) (*chartVersion, error) {
	var known []*chartVersion
	for _, v := range i.Entries[name] {
		if v != nil && len(v.URLs) > 0 {
			known = append(known, v)
		}
	}
	if len(known) == 0 {
		return nil, errors.New("the chart repository has no chart of this name")
	}
	names := make([]string, len(known))
	for n, v := range known {
		names[n] = v.Version
	}
	chosen, err := choose(names, version, locked)
	if err != nil {
		return nil, err
	}
	return known[slices.Index(names, chosen)], nil
}

// choose is Helm's choice among versions.
func choose(versions []string, wanted string, locked bool) (string, error) {
	if slices.Contains(versions, wanted) {
		return wanted, nil
	}
	constraint, err := semver.NewConstraint(wanted)
	if err != nil {
		return "", fmt.Errorf("the version %q in Chart.yaml is no constraint: %w", wanted, err)
	}
	exact, exactErr := semver.NewVersion(wanted)
	var newest *semver.Version
	for _, name := range versions {
		v, err := semver.NewVersion(name)
		switch {
		case err != nil, locked && (exactErr != nil || !v.Equal(exact)), !locked && !constraint.Check(v):
		case newest == nil || v.GreaterThan(newest):
			newest = v
		}
	}
	if newest == nil {
		return "", fmt.Errorf("none of the %d versions of the chart is %s: correct the version in Chart.yaml (a lock is written anew by "+
			"`helm dependency update`)", len(versions), wanted)
	}
	return newest.Original(), nil
}
