package plugin

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A Dir says where an application's files are.
type Dir struct {
	// Root is the absolute path of the repository's files; nothing outside of it is read.
	Root string
	// Path is the application's directory, relative to Root and separated by slashes; "." is Root itself.
	Path string
}

// FindRoot finds the repository's root above the working directory of a stock argocd-cmp-server's command, which is the
// application's directory: sourcePath, the application's path in the repository, is taken off its end. Where Argo CD sends
// only a subtree (manifest-generate-paths), just the last parts of sourcePath are there.
func FindRoot(cwd, sourcePath string) Dir {
	rest := strings.Trim(filepath.ToSlash(filepath.Clean("/"+sourcePath)), "/")
	for rest != "" {
		if root, ok := strings.CutSuffix(cwd, "/"+rest); ok && root != "" {
			return Dir{Root: root, Path: rest}
		}
		_, rest, _ = strings.Cut(rest, "/")
	}
	return Dir{Root: cwd, Path: "."}
}

// sourceDir checks a path that Argo CD gives for the application's directory.
func sourceDir(root, sourcePath string) (Dir, error) {
	clean := filepath.ToSlash(filepath.Clean(sourcePath)) // of "" it makes "."
	if !filepath.IsLocal(clean) {
		return Dir{}, fmt.Errorf("the source path %q leaves the repository: correct spec.source.path", sourcePath)
	}
	return Dir{Root: root, Path: clean}, nil
}
