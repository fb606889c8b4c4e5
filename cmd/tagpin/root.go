package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// errSilent makes the exit status 1 without another line: what went wrong has been printed already.
var errSilent = errors.New("")

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "tagpin",
		Short:         "Keep the images of Argo CD applications up to date, with every choice in Git",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags())
		},
	}
	root.AddCommand(newServe(), newGenerate(), newParameters(), newResolve(), newUpdate(), newPin(), newStatus(), newForget(), newDoctor(),
		newProfile(), newMigrate(), newVersion())
	return root
}

// envPrefix begins the name of the environment variable that stands for a flag: --cache-ttl is TAGPIN_CACHE_TTL.
const envPrefix = "TAGPIN_"

// fromEnvironment sets each flag that the command line leaves out from its environment variable. The elements of a list are
// separated by commas there.
func fromEnvironment(flags *pflag.FlagSet) error {
	var problem error
	flags.VisitAll(func(f *pflag.Flag) {
		value, set := os.LookupEnv(envName(f.Name))
		if !set || f.Changed || problem != nil {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			problem = list.Replace(strings.Split(value, ","))
		} else if err := flags.Set(f.Name, value); err != nil {
			problem = fmt.Errorf("environment variable %s: %w", envName(f.Name), err)
		}
		f.Changed = true
	})
	return problem
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// logFlags choose what is logged and how.
type logFlags struct{ level, format string }

func (l *logFlags) register(flags *pflag.FlagSet, level string) {
	flags.StringVar(&l.level, "log-level", level, "what is logged: debug, info, warn or error")
	flags.StringVar(&l.format, "log-format", "text", "how it is logged: text or json")
}

// logger writes to standard error: standard output is for manifests.
func (l logFlags) logger() (*logrus.Logger, error) {
	log := logrus.New()
	level, err := logrus.ParseLevel(l.level)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	log.SetLevel(level)
	switch l.format {
	case "text":
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	default:
		return nil, fmt.Errorf("--log-format: %q is neither text nor json", l.format)
	}
	return log, nil
}
