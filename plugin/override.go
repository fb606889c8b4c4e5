package plugin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tagpin/tagpin/image"
)

// maxOverride bounds an .argocd-source file, in bytes: Argo CD's own settings of one source have a few kilobytes.
const maxOverride = 1 << 20

// overrideFiles are the files that Argo CD merges into an application's source before it calls a plugin, in its order
// (reposerver/repository/repository.go: mergeSourceParameters).
func overrideFiles(dir Dir, app string) []string {
	return []string{
		path.Join(dir.Path, ".argocd-source.yaml"),
		path.Join(dir.Path, ".argocd-source-"+app+".yaml"),
	}
}

// readOverride gives the JSON of an .argocd-source file, nil where there is none. Argo CD takes a directory for none, too.
func readOverride(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.IsDir() {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxOverride+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxOverride {
		return nil, fmt.Errorf("%s is larger than %d KiB: it holds a source's settings only", name, maxOverride>>10)
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// refuseOverrides refuses parameters in .argocd-source files that decide over writing or credentials: who may write to the
// tree is not who may decide over those. By the time a plugin is called Argo CD has merged the files into the parameters, and
// nothing tells any more where one came from.
func refuseOverrides(dir Dir, app string) error {
	root, err := os.OpenRoot(dir.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range overrideFiles(dir, app) {
		data, err := readOverride(root, name)
		if err != nil {
			return err
		}
		var tree any
		if err := yaml.Unmarshal(data, &tree); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := refuseIn(tree); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// refuseIn looks at all of plugin.parameters and plugin.env. Keys are compared as encoding/json does it for Argo CD: without
// regard to case.
func refuseIn(tree any) error {
	for _, plugin := range values(tree, "plugin") {
		for _, list := range []struct {
			key       string
			protected func(string) bool
		}{{"parameters", protectedParameter}, {"env", protectedEnv}} {
			for _, items := range values(plugin, list.key) {
				if err := refuseItems(items, list.key, list.protected); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// refuseItems refuses items without a name as well: Argo CD decodes them over those of the Application that stand at the same
// place in the list, so that they would change the value of whatever that one is.
func refuseItems(items any, key string, protected func(string) bool) error {
	list, _ := items.([]any)
	for i, item := range list {
		names := values(item, "name")
		if len(names) == 0 {
			return fmt.Errorf("plugin.%s[%d] has no name: give it one", key, i)
		}
		for _, n := range names {
			if name, isText := n.(string); !isText || protected(name) {
				return fmt.Errorf("plugin.%s sets %v, which a file in the repository may not: set it in the Application", key, n)
			}
		}
	}
	return nil
}

// values are all values of a mapping whose keys equal key but for case.
func values(tree any, key string) []any {
	mapping, _ := tree.(map[string]any)
	var found []any
	for k, v := range mapping {
		if strings.EqualFold(k, key) {
			found = append(found, v)
		}
	}
	return found
}

// protectedParameter tells whether a parameter decides over writing or credentials, whatever alias or prefix it has.
func protectedParameter(name string) bool {
	name = strings.ToLower(strings.TrimPrefix(name, image.Prefix))
	return strings.HasPrefix(name, "write-back-") || strings.HasPrefix(name, "git-") && !strings.Contains(name, ".") ||
		name == "pull-secret" || strings.HasSuffix(name, ".pull-secret")
}

// protectedEnv is protectedParameter for the names in plugin.env. An alias "git" has names of its own there, so that only the
// whole names count.
func protectedEnv(name string) bool {
	name = strings.ToUpper(name)
	switch name {
	case "GIT_BRANCH", "GIT_REPOSITORY", "PULL_SECRET":
		return true
	}
	return strings.HasPrefix(name, "WRITE_BACK_") || strings.HasSuffix(name, "_PULL_SECRET")
}
