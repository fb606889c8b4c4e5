package parity

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"sigs.k8s.io/kustomize/api/konfig"
)

// TestDirectory is `make parity DIR=…`: it renders each chart and overlay below -dir both ways, and prints a table.
func TestDirectory(t *testing.T) {
	if *directory == "" {
		t.Skip("-dir names no directory: this is for make parity")
	}
	b := start(t)
	found, err := discover(*directory)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("there is no chart and no kustomization below %s", *directory)
	}
	results := make([]result, len(found))
	inParallel(len(found), func(i int) { results[i] = b.application(t.Context(), *directory, found[i]) })
	counts := map[string]int{}
	for _, r := range results {
		counts[r.outcome]++
	}
	if err := report(os.Stdout, results, counts); err != nil {
		t.Fatal(err)
	}
	if n := len(results) - counts[equal] - counts[neither]; n > 0 {
		t.Errorf("%d of %d differ", n, len(results))
	}
}

// discover finds the directories with a chart or a kustomization, by their paths below dir.
func discover(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		}
		if !d.IsDir() && (d.Name() == "Chart.yaml" || slices.Contains(konfig.RecognizedKustomizationFileNames(), d.Name())) {
			rel, err := filepath.Rel(dir, filepath.Dir(name))
			found = append(found, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	slices.Sort(found)
	return slices.Compact(found), err
}

// application renders one directory without any option. A chart travels alone, a kustomization with everything below dir that
// it may name.
func (b bench) application(ctx context.Context, dir, path string) result {
	root, below := dir, path
	if !isKustomization(filepath.Join(dir, path)) && !outward(filepath.Join(dir, path)) {
		root, below = filepath.Join(dir, path), "."
	}
	s := source{Path: below}
	tagpin := source{Path: below, Plugin: &v1alpha1.ApplicationSourcePlugin{Name: "tagpin"}}
	r := b.both(ctx, root, s, tagpin)
	r.path = path
	return r
}

func isKustomization(dir string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && !info.IsDir()
	})
}

// outward reports whether a chart names charts beside it.
func outward(dir string) bool {
	for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil && strings.Contains(string(data), "file://") {
			return true
		}
	}
	return false
}

// shown is how many characters of a reason or difference the table has.
const shown = 1500

// report prints the table: what differs last, as that is what people look for.
func report(w io.Writer, results []result, counts map[string]int) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, outcome := range []string{neither, equal, onlyTagpin, onlyNative, differs} {
		for _, r := range results {
			if r.outcome != outcome {
				continue
			}
			note, rest, _ := strings.Cut(strings.TrimSpace(r.detail), "\n")
			if _, reason, found := strings.Cut(note, "application gitops-demo: "); found {
				note = reason
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", r.outcome, r.path, cut(note, 200))
			if outcome != equal && outcome != neither && rest != "" {
				fmt.Fprintf(table, "%s\n", cut(rest, shown))
			}
		}
	}
	for _, outcome := range []string{equal, differs, onlyNative, onlyTagpin, neither} {
		fmt.Fprintf(table, "%s\t%d\n", outcome, counts[outcome])
	}
	return table.Flush()
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
