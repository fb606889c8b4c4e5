package render

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
)

// A buildOptions holds the flags of `kustomize build` that change what is built.
type buildOptions struct {
	helm, managedBy bool
	restrictor      types.LoadRestrictions
	reorder         krusty.ReorderOption
}

// CheckBuildOptions says what is wrong with flags of `kustomize build`.
func CheckBuildOptions(flags string) error {
	_, err := parseBuildOptions(flags)
	return err
}

// parseBuildOptions reads flags as Argo CD does: separated by white space, without quotes. The later of two counts.
func parseBuildOptions(text string) (buildOptions, error) {
	var o buildOptions
	var plugins bool
	var restrictor, reorder string
	flags := pflag.NewFlagSet("build", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.BoolVar(&o.helm, "enable-helm", false, "")
	flags.BoolVar(&o.managedBy, "enable-managedby-label", false, "")
	flags.BoolVar(&plugins, "enable-alpha-plugins", false, "")
	flags.StringVar(&restrictor, "load-restrictor", types.LoadRestrictionsRootOnly.String(), "")
	flags.StringVar(&reorder, "reorder", string(krusty.ReorderOptionUnspecified), "")
	const known = "known here are --enable-helm, --load-restrictor, --enable-managedby-label and --reorder"
	switch err := flags.Parse(strings.Fields(text)); {
	case err != nil:
		return o, fmt.Errorf("%w; %s", err, known)
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag; %s", flags.Arg(0), known)
	case plugins:
		return o, errors.New("--enable-alpha-plugins is refused, since it runs programs and containers that a repository names: remove it")
	}
	switch restrictor {
	case types.LoadRestrictionsNone.String():
		o.restrictor = types.LoadRestrictionsNone
	case types.LoadRestrictionsRootOnly.String(), "":
		o.restrictor = types.LoadRestrictionsRootOnly
	default:
		return o, fmt.Errorf("--load-restrictor %s: it is %s or %s", restrictor, types.LoadRestrictionsNone, types.LoadRestrictionsRootOnly)
	}
	switch o.reorder = krusty.ReorderOption(reorder); o.reorder {
	case krusty.ReorderOptionUnspecified, krusty.ReorderOptionNone, krusty.ReorderOptionLegacy:
	default:
		return o, fmt.Errorf("--reorder %s: it is %s or %s", reorder, krusty.ReorderOptionLegacy, krusty.ReorderOptionNone)
	}
	return o, nil
}

// buildOptions are the operator's and after them the application's.
func (r *Request) buildOptions() (buildOptions, error) {
	if _, err := parseBuildOptions(r.Kustomize.BuildOptions); err != nil {
		return buildOptions{}, fmt.Errorf("kustomize.buildOptions: %w", err)
	}
	o, err := parseBuildOptions(r.BuildOptions + " " + r.Kustomize.BuildOptions)
	if err != nil {
		return o, fmt.Errorf("the operator's kustomize.build-options: %w", err)
	}
	return o, nil
}
