package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/tagpin/tagpin/plugin/archive"
)

// maxScanned is the size up to which a file of an application is searched for references: a kustomization, a Chart.yaml or a
// list of resources has a few kilobytes.
const maxScanned = 1 << 20

// unpackReferences unpacks what the application in dir may read outside of it. A relative reference that leaves a directory has
// ".." in it, wherever it stands; an absolute one is in the application's parameters. So whatever looks like one, and names
// something in the repository, is taken for one: files are unpacked in vain, and none is missing without an error. After an
// error everything is unpacked and the work done again.
func unpackReferences(rest *archive.Rest, root *os.Root, dir string, env map[string]string) error {
	r := references{rest: rest, root: root, seen: map[string]bool{}}
	if err := r.below(dir); err != nil {
		return err
	}
	for _, text := range settingsOf(env) {
		for _, name := range namedBySetting(text, dir) {
			if err := r.follow(name); err != nil {
				return err
			}
		}
	}
	return nil
}

type references struct {
	rest *archive.Rest
	root *os.Root
	seen map[string]bool
}

// below follows what is in the files and symbolic links of a directory that is unpacked.
func (r references) below(dir string) error {
	err := fs.WalkDir(r.root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the render says so
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return r.scan(name)
	})
	if err != nil {
		return err
	}
	for link, target := range r.rest.Links() {
		if link == dir || dir == "." || strings.HasPrefix(link, dir+"/") {
			if err := r.follow(path.Join(path.Dir(link), target)); err != nil {
				return err
			}
		}
	}
	return nil
}

// scan follows what a file seems to name.
func (r references) scan(name string) error {
	file, err := r.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxScanned))
	if err != nil {
		return err
	}
	for _, reference := range namedInFile(text) {
		if err := r.follow(path.Join(path.Dir(name), reference)); err != nil {
			return err
		}
	}
	return nil
}

// follow unpacks what is at name and below, with all that is named in there.
func (r references) follow(name string) error {
	name = r.real(name)
	if r.seen[name] || name == ".." || strings.HasPrefix(name, "../") {
		return nil
	}
	r.seen[name] = true
	if name != "." && !r.rest.Has(name) {
		return nil
	}
	files, err := r.rest.Unpack(name)
	if err != nil || len(files) == 0 {
		return err
	}
	return r.below(name)
}

// maxLinks is how many symbolic links one name may lead through.
const maxLinks = 40

// real is the name without symbolic links in it, as far as they can be followed.
func (r references) real(name string) string {
	links := r.rest.Links()
	for range maxLinks {
		at := ""
		for i := range len(name) + 1 {
			if i == len(name) || name[i] == '/' {
				if _, is := links[name[:i]]; is {
					at = name[:i]
					break
				}
			}
		}
		if at == "" {
			return name
		}
		name = path.Join(path.Dir(at), links[at], name[len(at):])
	}
	return name
}

// settingsOf are all texts that the Application sets.
func settingsOf(env map[string]string) []string {
	var all []string
	for name, value := range env {
		switch {
		case name == envParameters:
			var tree any
			if json.Unmarshal([]byte(value), &tree) == nil { // else the work says so
				all = textsIn(tree, all)
			}
		case strings.HasPrefix(name, envPrefixPlugin):
			all = append(all, value)
		}
	}
	return all
}

func textsIn(tree any, all []string) []string {
	switch v := tree.(type) {
	case string:
		return append(all, v)
	case []any:
		for _, item := range v {
			all = textsIn(item, all)
		}
	case map[string]any:
		for _, item := range v {
			all = textsIn(item, all)
		}
	}
	return all
}

// namedBySetting are the names that a setting may mean: itself, the items of a list, what follows a colon ("helmvalues:/x").
// What begins with a slash is named from the repository's root, the rest from the application's directory.
func namedBySetting(text, dir string) []string {
	var all []string
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == ':' }) {
		item = plainPart(strings.Trim(item, " \t\r\"'[]{}-"))
		switch {
		case strings.HasPrefix(item, "/"):
			all = append(all, path.Clean("./"+item))
		case strings.Contains(item, ".."):
			all = append(all, path.Join(dir, item))
		}
	}
	return all
}

// plainPart is the directory before what is replaced or matched in a name: "/envs" of "/envs/$ARGOCD_APP_NAME/*.yaml".
func plainPart(name string) string {
	if i := strings.IndexAny(name, "*?[{$"); i >= 0 {
		return name[:strings.LastIndexByte(name[:i], '/')+1]
	}
	return name
}

// ends are what no reference in a file goes beyond.
const ends = " \t\r\n\"'`,[]{}()=|<>;#:*?$&!"

// namedInFile are the relative names with ".." in a text.
func namedInFile(text []byte) []string {
	var all []string
	for {
		i := bytes.Index(text, []byte(".."))
		if i < 0 {
			return all
		}
		from := bytes.LastIndexAny(text[:i], ends) + 1
		to := len(text)
		if n := bytes.IndexAny(text[i:], ends); n >= 0 {
			to = i + n
		}
		if to-from < maxReference {
			all = append(all, strings.TrimLeft(string(text[from:to]), "/")) // of file://../x
		}
		text = text[to:]
	}
}

// maxReference is longer than any path in a repository.
const maxReference = 1024
