package engine

import (
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/gobwas/glob"

	"helm.sh/helm/v3/pkg/chart"
)

// files are .Files, the chart's files that are no templates. Templates call the methods.
type files map[string][]byte

func newFiles(list []*chart.File) files {
	f := make(files, len(list))
	for _, file := range list {
		f[file.Name] = file.Data
	}
	return f
}

// GetBytes returns a file's content; of a file that is not there, nothing.
func (f files) GetBytes(name string) []byte {
	if data, ok := f[name]; ok {
		return data
	}
	return []byte{}
}

// Get returns a file's content as text.
func (f files) Get(name string) string { return string(f.GetBytes(name)) }

// Glob returns the files whose names match; of a pattern that is none, all.
func (f files) Glob(pattern string) files {
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g = glob.MustCompile("**")
	}
	found := files{}
	for name, data := range f {
		if g.Match(name) {
			found[name] = data
		}
	}
	return found
}

// AsConfig returns the files as the data of a ConfigMap. Of two whose names end alike it is the last by name.
func (f files) AsConfig() string {
	return f.data(func(b []byte) string { return string(b) })
}

// AsSecrets returns the files as the data of a Secret.
func (f files) AsSecrets() string {
	return f.data(base64.StdEncoding.EncodeToString)
}

func (f files) data(text func([]byte) string) string {
	if f == nil {
		return ""
	}
	m := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		m[path.Base(name)] = text(f[name])
	}
	return toYAML(m)
}

// Lines returns the lines of a file.
func (f files) Lines(name string) []string {
	if f[name] == nil {
		return []string{}
	}
	text := string(f[name])
	if text[len(text)-1] == '\n' { // panics for an empty file, as in Helm, which makes an error of it
		text = text[:len(text)-1]
	}
	return strings.Split(text, "\n")
}
