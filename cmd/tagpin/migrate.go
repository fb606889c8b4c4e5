package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/migrate"
)

type migrateFlags struct {
	updater    string
	sourceDirs []string
	method     string
	sourceType string
	name       string
	back       bool
	strict     bool
}

func newMigrate() *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use:   "migrate MANIFEST",
		Short: "Turn an Application for argocd-image-updater into one for tagpin, or back",
		Long: "Prints the manifest of an Application or ApplicationSet (- is standard input) as one that uses the plugin, and on standard\n" +
			"error the steps in which nothing older than what runs is deployed, and what has no counterpart. No file is changed.",
		Example: `  tagpin migrate application.yaml --source-dir ../gitops-demo/helm > migrated.yaml
  tagpin migrate application.yaml --updater imageupdater.yaml --write-back-method git:secret:argocd/git-creds
  tagpin migrate --back migrated.yaml --source-dir ../gitops-demo/helm`,
		Args: cobra.ExactArgs(1),
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.updater, "updater", "", "a file with the ImageUpdater resource, where annotations don't say it all")
	flags.StringArrayVar(&f.sourceDirs, "source-dir", nil, "the directory of the source in an up-to-date checkout: which tags run is read from it; "+
		"repeatable for an ApplicationSet")
	flags.StringVar(&f.method, "write-back-method", "", "use this method instead of the one in the manifest")
	flags.StringVar(&f.sourceType, "source-type", "", "helm or kustomize, where nothing else tells")
	flags.StringVar(&f.name, "name", "", "which Application of the manifest, if there are several")
	flags.BoolVar(&f.back, "back", false, "turn an application that uses tagpin into one for argocd-image-updater")
	flags.BoolVar(&f.strict, "strict", false, "fail if anything has no counterpart or needs a decision")
	return cmd
}

func (f *migrateFlags) run(cmd *cobra.Command, args []string) error {
	in, err := f.input(cmd.InOrStdin(), args[0])
	if err != nil {
		return err
	}
	turn := migrate.Forward
	if f.back {
		turn = migrate.Back
	}
	out, err := turn(in)
	if err != nil {
		return err
	}
	printNotes(cmd.ErrOrStderr(), out.Notes)
	if n := len(out.Warnings()); f.strict && n > 0 {
		return fmt.Errorf("--strict: %d of these notes are warnings: settle them, or leave out --strict", n)
	}
	printSteps(cmd.ErrOrStderr(), out.Steps)
	_, err = cmd.OutOrStdout().Write(out.Manifest)
	return err
}

func (f *migrateFlags) input(stdin io.Reader, manifest string) (migrate.Input, error) {
	in := migrate.Input{Name: f.name, WriteBackMethod: f.method, SourceType: f.sourceType}
	var err error
	if manifest == "-" {
		in.Manifest, err = io.ReadAll(stdin)
	} else {
		in.Manifest, err = os.ReadFile(manifest)
	}
	if err != nil {
		return in, fmt.Errorf("reading the manifest: %w", err)
	}
	if f.updater != "" {
		if in.Updater, err = os.ReadFile(f.updater); err != nil {
			return in, fmt.Errorf("--updater: %w", err)
		}
	}
	for _, dir := range f.sourceDirs {
		d, err := readSourceDir(dir)
		if err != nil {
			return in, fmt.Errorf("--source-dir: %w", err)
		}
		in.Directories = append(in.Directories, d)
	}
	return in, nil
}

func readSourceDir(dir string) (migrate.Directory, error) {
	d := migrate.Directory{Path: filepath.ToSlash(dir), Files: map[string][]byte{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return d, err
	}
	for _, e := range entries {
		var data []byte
		if migrate.IsOverride(e.Name()) {
			if data, err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				return d, err
			}
		}
		if !e.IsDir() {
			d.Files[e.Name()] = data
		}
	}
	return d, nil
}

func printNotes(w io.Writer, notes []migrate.Note) {
	for _, n := range notes {
		level := "note"
		if n.Warning {
			level = "warning"
		}
		fmt.Fprintf(w, "%s: %s\n", level, n)
	}
}

func printSteps(w io.Writer, steps []string) {
	for i, s := range steps {
		fmt.Fprintf(w, "\n%d. %s\n", i+1, strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n   "))
	}
}
