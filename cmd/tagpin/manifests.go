package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v3"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/reconcile"
)

// pluginName is how Applications call tagpin.
const pluginName = "tagpin"

// manifests is a reconcile.Store: the Applications of files, or of directories with *.yaml, *.yml and *.json. They are read
// for every check.
type manifests struct {
	paths []string
	log   *logrus.Logger
}

// Add implements reconcile.Store; nothing is observed but the files.
func (m manifests) Add(context.Context, ...reconcile.Hint) error { return nil }

// Forget implements reconcile.Store.
func (m manifests) Forget(context.Context, string) error { return nil }

// Hints implements reconcile.Store. A file that can't be read is logged and keeps no other from being followed.
func (m manifests) Hints(context.Context) ([]reconcile.Hint, error) {
	hints, err := m.read()
	if err != nil {
		m.log.WithError(err).Error("these applications are not checked")
	}
	return hints, nil
}

// Some implements reconcile.Store.
func (m manifests) Some(ctx context.Context, apps []image.Application) ([]reconcile.Hint, error) {
	hints, err := m.Hints(ctx)
	return slices.DeleteFunc(hints, func(h reconcile.Hint) bool {
		h.App.Revision = ""
		return !slices.Contains(apps, h.App)
	}), err
}

// read gives the Applications that call tagpin, and what is wrong with others.
func (m manifests) read() ([]reconcile.Hint, error) {
	var hints []reconcile.Hint
	var problems []error
	for _, path := range m.paths {
		files, err := filesAt(path)
		if err != nil {
			problems = append(problems, err)
		}
		for _, file := range files {
			found, err := readHints(file)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", file, err))
			}
			hints = append(hints, found...)
		}
	}
	return hints, errors.Join(problems...)
}

// filesAt is the file itself, or the manifests of a directory and those below. Directories that begin with a dot are left
// out: ConfigMaps are mounted through them.
func filesAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no Application manifest at %s", path)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != path && d.Name()[0] == '.':
			return fs.SkipDir
		case !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(p)):
			files = append(files, p)
		}
		return nil
	})
	return files, err
}

func readHints(file string) ([]reconcile.Hint, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	documents, err := ourApplications(data)
	if err != nil {
		return nil, err
	}
	// The files of the repository aren't here, so an .argocd-source file in it is not merged.
	empty, err := os.MkdirTemp("", "tagpin-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(empty)
	var hints []reconcile.Hint
	var problems []error
	for _, d := range documents {
		_, request, err := plugin.LoadApplication(d.text, empty, plugin.ApplicationOptions{Plugin: pluginName, Source: d.source})
		if err != nil {
			problems = append(problems, err)
			continue
		}
		hints = append(hints, reconcile.Hint{App: request.App, Parameters: request.Parameters, Env: request.Env, Seen: time.Now()})
	}
	return hints, errors.Join(problems...)
}

// A sourceDocument is an Application with one of its sources: its name where there are several that call tagpin.
type sourceDocument struct {
	text   []byte
	source string
}

// ourApplications are the documents that hold an Application, once for each source that calls tagpin.
func ourApplications(data []byte) ([]sourceDocument, error) {
	var found []sourceDocument
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, err
		}
		names := ourSources(&node)
		text, err := yaml.Marshal(&node)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found = append(found, sourceDocument{text, name})
		}
	}
}

// ourSources are the names of an Application's sources that call tagpin; that of a single one doesn't matter.
func ourSources(node *yaml.Node) []string {
	type source struct {
		Name   string
		Plugin struct{ Name string }
	}
	var app struct {
		Kind string
		Spec struct {
			Source  source
			Sources []source
		}
	}
	if node.Decode(&app) != nil || app.Kind != "Application" {
		return nil // another kind may have a spec of any form
	}
	if app.Spec.Sources == nil {
		app.Spec.Sources = []source{app.Spec.Source} // Argo CD's order, too
	}
	var names []string
	for _, s := range app.Spec.Sources {
		if plugin.Calls(s.Plugin.Name, pluginName) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 1 {
		return []string{""}
	}
	return names
}
