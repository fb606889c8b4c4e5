package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/tagpin/tagpin/plugin"
)

func newParameters() *cobra.Command {
	return &cobra.Command{
		Use:   "parameters",
		Short: "Print the parameter form, for the stock argocd-cmp-server (parameters.dynamic)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := filepath.Abs(".")
			if err != nil {
				return err
			}
			log := logrus.New()
			log.SetOutput(io.Discard)
			generator := plugin.NewGenerator(plugin.Settings{Log: log, Version: version})
			return generator.WriteAnnouncements(cmd.OutOrStdout(), plugin.FindRoot(at, os.Getenv("ARGOCD_APP_SOURCE_PATH")), os.Environ())
		},
	}
}
